# Objects: parents, children, derived and duplicated keys, eviction, changing authorisation.
. "$(dirname "$0")/lib.sh"
ok startup
ok createprimary -hi o -st -rsa -pwdk sto -opu sto.pub
ok createprimary -hi n -st -ecc nistp256 -pwdk np
ok create -hp 80000000 -pwdp sto -si -rsa -pwdk sig -opr k.priv -opu k.pub
ok load -hp 80000000 -pwdp sto -ipr k.priv -ipu k.pub
ok readpublic -ho 80000002
printf 'message' >m
ok sign -hk 80000002 -pwdk sig -halg sha256 -if m -os sig
ok verifysignature -hk 80000002 -halg sha256 -if m -is sig
no sign -hk 80000002 -pwdk wrong -halg sha256 -if m -os sig
ok objectchangeauth -ho 80000002 -pwdo sig -hp 80000000 -pwdn new -opr k2.priv
ok flushcontext -ha 80000002
ok load -hp 80000000 -pwdp sto -ipr k2.priv -ipu k.pub
ok sign -hk 80000002 -pwdk new -halg sha256 -if m -os sig
ok contextsave -ha 80000002 -of ctx
ok flushcontext -ha 80000002
ok contextload -if ctx
ok sign -hk 80000002 -pwdk new -halg sha256 -if m -os sig
ok evictcontrol -hi o -ho 80000002 -hp 81000001
ok flushcontext -ha 80000002
ok sign -hk 81000001 -pwdk new -halg sha256 -if m -os sig
ok evictcontrol -hi o -ho 81000001 -hp 81000001
no sign -hk 81000001 -pwdk new -halg sha256 -if m -os sig
ok createloaded -hp 80000000 -pwdp sto -si -ecc nistp256 -pwdk l -opu l.pub -opr l.priv
ok sign -hk 80000002 -pwdk l -halg sha256 -ecc -if m -os sig
ok flushcontext -ha 80000002
ok create -hp 80000000 -pwdp sto -bl -if m -pwdk b -opr b.priv -opu b.pub
ok load -hp 80000000 -pwdp sto -ipr b.priv -ipu b.pub
show unseal -ha 80000002 -pwd b -of out.bin
cmp m out.bin && echo same
ok flushcontext -ha 80000002
ok create -hp 80000000 -pwdp sto -des -pwdk a -opr a.priv -opu a.pub
ok load -hp 80000000 -pwdp sto -ipr a.priv -ipu a.pub
ok encryptdecrypt -hk 80000002 -pwdk a -if m -of c
ok encryptdecrypt -hk 80000002 -pwdk a -d -if c -of p
cmp m p && echo same
ok flushcontext -ha 80000002
ok flushcontext -ha 80000001
ok flushcontext -ha 80000000
show getcapability -cap 1 -pr 80000000
