# Sealed data, NV of every kind, encryption.
PROFILE=P_RSA2048SHA256
. "$(dirname "$0")/lib.sh"
ok provision
printf 'a secret' >secret
ok createseal --path=HS/SRK/seal --type=noDa --authValue= --data=secret
ok unseal --path=HS/SRK/seal --data=back
same secret back
ok createkey --path=HS/SRK/cipher --type='noDa, decrypt' --authValue=
ok encrypt --keyPath=HS/SRK/cipher --plainText=secret --cipherText=cipher
ok decrypt --keyPath=HS/SRK/cipher --cipherText=cipher --plainText=back --force
same secret back
ok createnv --path=/nv/Owner/data --type=noDa --size=8 --authValue=
ok nvwrite --nvPath=/nv/Owner/data --data=secret
ok nvread --nvPath=/nv/Owner/data --data=back --force
same secret back
ok createnv --path=/nv/Owner/count --type='noDa, counter' --size=0 --authValue=
no nvread --nvPath=/nv/Owner/count --data=back --force
ok nvincrement --nvPath=/nv/Owner/count
ok nvread --nvPath=/nv/Owner/count --data=back --force
wc -c <back
ok createnv --path=/nv/Owner/bits --type='noDa, bitfield' --size=0 --authValue=
ok nvsetbits --nvPath=/nv/Owner/bits --bitmap=0x0102030405060608
ok nvread --nvPath=/nv/Owner/bits --data=back --force
od -An -tx1 back
ok createnv --path=/nv/Owner/extend --type='noDa, pcr' --size=0 --authValue=
ok nvextend --nvPath=/nv/Owner/extend --data=secret
ok nvread --nvPath=/nv/Owner/extend --data=back --force
od -An -tx1 -v back
ok delete --path=/nv/Owner/data
no nvread --nvPath=/nv/Owner/data --data=back --force
ok delete --path=/
