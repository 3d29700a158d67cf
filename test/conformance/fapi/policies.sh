# Policies that the Feature API computes and fulfils by itself.
. "$(dirname "$0")/lib.sh"
ok provision
printf '01234567890123456789012345678901' >digest
zeros=$(printf '%064d' 0)
printf '{"description":"p","policy":[{"type":"POLICYPCR","pcrs":[{"pcr":16,"hashAlg":"TPM2_ALG_SHA256","digest":"%s"}]}]}' \
  "$zeros" >pcr.json
ok import --path=policy/pcr --importData=pcr.json
ok exportpolicy --path=policy/pcr --jsonPolicy=exported.json
grep -c POLICYPCR exported.json
ok createkey --path=HS/SRK/pcr --type='noDa, sign' --policyPath=policy/pcr --authValue=
ok sign --keyPath=HS/SRK/pcr --digest=digest --signature=sig
# A key approves the policy, in PolicyAuthorize and in an index.
ok createkey --path=HS/SRK/approver --type='noDa, sign' --authValue=
printf '{"description":"a","policy":[{"type":"POLICYAUTHORIZE","keyPath":"/HS/SRK/approver"}]}' >authorize.json
ok import --path=policy/authorize --importData=authorize.json
ok createkey --path=HS/SRK/approved --type='noDa, sign' --policyPath=policy/authorize --authValue=
no sign --keyPath=HS/SRK/approved --digest=digest --signature=sig --force
ok authorizepolicy --keyPath=HS/SRK/approver --policyPath=policy/pcr
ok sign --keyPath=HS/SRK/approved --digest=digest --signature=sig --force
ok createnv --path=/nv/Owner/policy --type=noDa --size=34 --authValue=
printf '{"description":"n","policy":[{"type":"POLICYAUTHORIZENV","nvPath":"/nv/Owner/policy"}]}' >nv.json
ok import --path=policy/nv --importData=nv.json
ok writeauthorizenv --nvPath=/nv/Owner/policy --policyPath=policy/pcr
ok createkey --path=HS/SRK/indexed --type='noDa, sign' --policyPath=policy/nv --authValue=
ok sign --keyPath=HS/SRK/indexed --digest=digest --signature=sig --force
# None is fulfilled after the measurement.
printf 'event' >event
ok pcrextend --pcr=16 --data=event
for key in pcr approved indexed; do no sign --keyPath=HS/SRK/$key --digest=digest --signature=sig --force; done
ok delete --path=/
