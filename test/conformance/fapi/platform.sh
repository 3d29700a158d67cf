# What the platform measured and tells: PCRs, quotes, information, random numbers.
. "$(dirname "$0")/lib.sh"
ok provision
printf 'event' >event
ok pcrextend --pcr=16 --data=event
ok pcrread --pcrIndex=16 --pcrValue=value --pcrLog=log.json
od -An -tx1 -v value
ok createkey --path=HS/SRK/quote --type='noDa, restricted, sign' --authValue=
ok exportkey --pathOfKeyToDuplicate=HS/SRK/quote --exportedData=quote.json
ok import --path=ext/quote --importData=quote.json
printf 'nonce' >nonce
ok quote --keyPath=HS/SRK/quote --pcrList='11, 16' --qualifyingData=nonce --signature=sig --quoteInfo=info --pcrLog=pcrlog
ok verifyquote --publicKeyPath=ext/quote --qualifyingData=nonce --quoteInfo=info --signature=sig --pcrLog=pcrlog
printf 'other' >other
no verifyquote --publicKeyPath=ext/quote --qualifyingData=other --quoteInfo=info --signature=sig --pcrLog=pcrlog
ok getinfo --info=tpm.json
grep -c '"description":' tpm.json
ok getrandom --numBytes=20 --data=random
wc -c <random
ok delete --path=/
