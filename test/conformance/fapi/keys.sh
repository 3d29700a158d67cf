# Keys: provisioning, signing, what is kept beside a key, export and import.
. "$(dirname "$0")/lib.sh"
ok provision
no provision
ok list
tr : '\n' <out | sort
ok createkey --path=HS/SRK/sign --type='noDa, sign, exportable' --authValue=
printf '01234567890123456789012345678901' >digest
ok sign --keyPath=HS/SRK/sign --digest=digest --signature=sig --publicKey=pub.pem
ok import --path=ext/sign --importData=pub.pem
ok verifysignature --keyPath=ext/sign --digest=digest --signature=sig
printf '01234567890123456789012345678902' >other
no verifysignature --keyPath=ext/sign --digest=other --signature=sig
openssl pkeyutl -verify -pubin -inkey pub.pem -in digest -sigfile sig
ok changeauth --entityPath=HS/SRK/sign --authValue=secret
no createkey --path=HS/SRK/sign --type=sign --authValue=
ok setdescription --path=HS/SRK/sign --description='a key'
show getdescription --path=HS/SRK/sign --description=-
printf 'data' >data
ok setappdata --path=HS/SRK/sign --appData=data
ok getappdata --path=HS/SRK/sign --appData=back
same data back
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=test -out cert.pem 2>/dev/null
ok setcertificate --path=HS/SRK/sign --x509certData=cert.pem
ok getcertificate --path=HS/SRK/sign --x509certData=back.pem
same cert.pem back.pem
ok gettpmblobs --path=HS/SRK/sign --tpm2bPublic=blob.pub --tpm2bPrivate=blob.priv --policy=blob.pol
wc -c <blob.pub
ok createkey --path=HS/SRK/second --type='noDa, sign' --authValue=
ok gettpm2object --path=HS/SRK/second --context=second.ctx
ok createkey --path=HS/SRK/parent --type='restricted, decrypt, noDa' --authValue=
ok exportkey --pathOfKeyToDuplicate=HS/SRK/parent --exportedData=parent.json
ok import --path=ext/parent --importData=parent.json
printf '{"description":"d","policy":[{"type":"POLICYDUPLICATIONSELECT","newParentPath":"ext/parent"}]}' >dup.json
ok import --path=policy/dup --importData=dup.json
ok createkey --path=HS/SRK/moving --type='noDa, exportable, decrypt' --policyPath=policy/dup --authValue=
ok exportkey --pathOfKeyToDuplicate=HS/SRK/moving --pathToPublicKeyOfNewParent=ext/parent --exportedData=moved.json
ok import --path=HS/SRK/parent/moved --importData=moved.json
ok list --searchPath=HS/SRK/sign
cat out
ok delete --path=HS/SRK/sign
no sign --keyPath=HS/SRK/sign --digest=digest --signature=sig --force
ok delete --path=/
