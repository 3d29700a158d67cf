# Keys that come and go: duplication, rewrapping, import, keys of others, RSA encryption, commitments.
. "$(dirname "$0")/lib.sh"
ok startup
ok createprimary -hi o -st -rsa
ok createprimary -hi o -st -rsa -pwdk second
# A key that may be duplicated under PolicyCommandCode.
ok startauthsession -se t
ok policycommandcode -ha 03000000 -cc 14b
ok policygetdigest -ha 03000000 -of dup.pol
ok flushcontext -ha 03000000
ok create -hp 80000000 -si -kt nf -kt np -pol dup.pol -opr k.priv -opu k.pub
ok load -hp 80000000 -ipr k.priv -ipu k.pub
ok startauthsession -se p
no duplicate -ho 80000002 -hp 80000001 -od dup -oss seed -se0 03000000 1
ok policycommandcode -ha 03000000 -cc 14b
ok duplicate -ho 80000002 -hp 80000001 -od dup -oss seed -se0 03000000 1
ok import -hp 80000001 -pwdp second -ipu k.pub -id dup -iss seed -opr k2.priv
ok flushcontext -ha 80000002
ok load -hp 80000001 -pwdp second -ipr k2.priv -ipu k.pub
printf 'message' >m
ok sign -hk 80000002 -halg sha256 -if m -os sig
# With an inner wrapper, and from parent to parent.
ok policycommandcode -ha 03000000 -cc 14b
printf '0123456789abcdef' >inner
ok duplicate -ho 80000002 -hp 80000000 -salg aes -ik inner -od dup -oss seed -se0 03000000 0
ok import -hp 80000000 -ipu k.pub -id dup -iss seed -ik inner -salg aes -opr k3.priv
printf 'another key 0123' >other
no import -hp 80000000 -ipu k.pub -id dup -iss seed -ik other -salg aes -opr k4.priv
ok flushcontext -ha 80000002
ok load -hp 80000000 -ipr k3.priv -ipu k.pub
ok startauthsession -se p
ok policycommandcode -ha 03000000 -cc 14b
ok duplicate -ho 80000002 -hp 80000000 -od dup -oss seed -se0 03000000 0
tail -c +3 k.pub | openssl dgst -sha256 -binary | { printf '\000\013'; cat; } >k.name
ok rewrap -ho 80000000 -hn 80000001 -id dup -in k.name -iss seed -od dup2 -oss seed2
ok import -hp 80000001 -pwdp second -ipu k.pub -id dup2 -iss seed2 -opr k4.priv
ok flushcontext -ha 80000002
ok load -hp 80000001 -pwdp second -ipr k4.priv -ipu k.pub
ok sign -hk 80000002 -halg sha256 -if m -os sig
ok flushcontext -ha 80000002
# Keys that OpenSSL made.
openssl genrsa -traditional -out rsa.pem 2048 2>/dev/null
openssl rsa -in rsa.pem -pubout -out rsa.pub 2>/dev/null
ok importpem -hp 80000000 -ipem rsa.pem -pwdk pk -opu i.pub -opr i.priv
ok load -hp 80000000 -ipr i.priv -ipu i.pub
ok sign -hk 80000002 -pwdk pk -halg sha256 -if m -os sig
ok flushcontext -ha 80000002
openssl ecparam -name prime256v1 -genkey -noout -out ecc.pem
openssl ec -in ecc.pem -pubout -out ecc.pub 2>/dev/null
ok importpem -hp 80000000 -ipem ecc.pem -ecc -opu i.pub -opr i.priv
ok load -hp 80000000 -ipr i.priv -ipu i.pub
ok sign -hk 80000002 -halg sha256 -ecc -if m -os sig
ok flushcontext -ha 80000002
ok loadexternal -ipem rsa.pub
openssl dgst -sha256 -sign rsa.pem -out raw m
ok verifysignature -hk 80000002 -halg sha256 -if m -is raw -raw
ok flushcontext -ha 80000002
ok loadexternal -ecc -ipem ecc.pub -hi o
ok flushcontext -ha 80000002
openssl rsa -traditional -in rsa.pem -outform der -out rsa.der 2>/dev/null
ok loadexternal -ider rsa.der
ok sign -hk 80000002 -halg sha256 -if m -os sig
ok flushcontext -ha 80000002
# RSA encryption.
ok create -hp 80000000 -den -opr d.priv -opu d.pub
ok load -hp 80000000 -ipr d.priv -ipu d.pub
ok rsaencrypt -hk 80000002 -id m -oe cipher
ok rsadecrypt -hk 80000002 -ie cipher -od back
cmp m back && echo same
no rsadecrypt -hk 80000000 -ie cipher
ok flushcontext -ha 80000002
# A commitment.
ok create -hp 80000000 -dau -ecc bnp256 -opr a.priv -opu a.pub
ok load -hp 80000000 -ipr a.priv -ipu a.pub
ok commit -hk 80000002 -Kf K -Lf L -Ef E
ok flushcontext -ha 80000002
