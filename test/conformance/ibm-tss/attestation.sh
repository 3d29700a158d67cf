# Attestation: certify, quote, time, audit digests, NV; credentials.
. "$(dirname "$0")/lib.sh"
ok startup
ok createprimary -hi e -st -rsa -tk p.tk -ch p.ch
ok create -hp 80000000 -sir -ecc nistp256 -opr ak.priv -opu ak.pub -opem ak.pem
ok load -hp 80000000 -ipr ak.priv -ipu ak.pub
printf 'question' >qd
ok certify -ho 80000000 -hk 80000001 -salg ecc -qd qd -os sig -oa att
ok verifysignature -hk 80000001 -halg sha256 -ecc -if att -is sig
ok certifycreation -ho 80000000 -hk 80000001 -salg ecc -qd qd -tk p.tk -ch p.ch -os sig -oa att
ok verifysignature -hk 80000001 -halg sha256 -ecc -if att -is sig
no certifycreation -ho 80000001 -hk 80000001 -salg ecc -qd qd -tk p.tk -ch p.ch
ok quote -hp 0 -hp 16 -hk 80000001 -salg ecc -qd qd -os sig -oa att
ok verifysignature -hk 80000001 -halg sha256 -ecc -if att -is sig
ok quote -hp 7 -palg sha1 -hk 80000001 -salg ecc -os sig -oa att
ok gettime -hk 80000001 -salg ecc -qd qd -os sig -oa att
ok verifysignature -hk 80000001 -halg sha256 -ecc -if att -is sig
ok getrandom -by 4
ok getcommandauditdigest -hk 80000001 -salg ecc -qd qd -os sig -oa att
ok verifysignature -hk 80000001 -halg sha256 -ecc -if att -is sig
ok create -hp 80000000 -sir -rsa -opr rk.priv -opu rk.pub
ok load -hp 80000000 -ipr rk.priv -ipu rk.pub
ok startauthsession -se h
ok getrandom -by 4 -se0 02000000 81
ok getsessionauditdigest -hk 80000002 -hs 02000000 -qd qd -os sig -oa att -od digest
ok verifysignature -hk 80000002 -halg sha256 -if att -is sig
wc -c <digest
ok flushcontext -ha 02000000
ok flushcontext -ha 80000002
ok nvdefinespace -hi o -ha 01000000 -pwdn nn -sz 8
ok nvwrite -ha 01000000 -pwdn nn -ic 12345678
ok nvcertify -ha 01000000 -pwdn nn -hk 80000001 -salg ecc -sz 8 -os sig -oa att
ok verifysignature -hk 80000001 -halg sha256 -ecc -if att -is sig
no nvcertify -ha 01000000 -pwdn wrong -hk 80000001 -salg ecc -sz 8
no nvcertify -ha 01000000 -pwdn nn -hk 80000001 -salg ecc -sz 8 -off 1
ok nvundefinespace -hi o -ha 01000000
# Credentials for the key's name, as RSA and as ECC parents take them.
tail -c +3 ak.pub | openssl dgst -sha256 -binary | { printf '\000\013'; cat; } >ak.name
printf 'credential' >secret
ok makecredential -ha 80000000 -icred secret -in ak.name -ocred cred -os seed
ok activatecredential -ha 80000001 -hk 80000000 -icred cred -is seed -ocred back
cmp secret back && echo same
ok createprimary -hi e -st -ecc nistp256
ok makecredential -ha 80000002 -icred secret -in ak.name -ocred cred -os seed
ok activatecredential -ha 80000001 -hk 80000002 -icred cred -is seed -ocred back
cmp secret back && echo same
no activatecredential -ha 80000002 -hk 80000000 -icred cred -is seed
