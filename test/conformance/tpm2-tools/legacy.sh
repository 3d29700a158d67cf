# RSA 1024, SHA-1: keys that others made are used, also where none is made any more.
. "$(dirname "$0")/lib.sh"
ok startup -c
openssl genrsa -out key.pem 1024 2>/dev/null
openssl rsa -in key.pem -pubout -out pub.pem 2>/dev/null
printf 'message' >m
ok loadexternal -G rsa -r key.pem -c k.ctx
ok sign -c k.ctx -g sha1 -s rsassa -f plain -o sig m
openssl dgst -sha1 -verify pub.pem -signature sig m
ok sign -c k.ctx -g sha512 -s rsapss -f plain -o sig m
openssl dgst -sha512 -sigopt rsa_padding_mode:pss -verify pub.pem -signature sig m
ok loadexternal -C o -G rsa -u pub.pem -c p.ctx
openssl dgst -sha256 -sign key.pem -out sig m
ok verifysignature -c p.ctx -g sha256 -m m -s sig -f rsassa
ok rsaencrypt -c p.ctx -s oaep -o cipher m
ok rsadecrypt -c k.ctx -s oaep -o back cipher
same m back
ok createprimary -C o -c parent.ctx
ok import -C parent.ctx -G rsa -i key.pem -u i.pub -r i.priv
ok load -C parent.ctx -u i.pub -r i.priv -c i.ctx
ok rsadecrypt -c i.ctx -s oaep -o back cipher
same m back
