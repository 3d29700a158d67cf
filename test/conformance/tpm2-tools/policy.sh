# Every policy command: digests in trial sessions, then satisfied and not.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok createprimary -C o -c p.ctx
trial() { # trial TOOL ARGUMENTS...: the digest of one policy command
  ok startauthsession -S t.ctx
  ok "$@" -L "$1.pol" -S t.ctx
  echo "$1 $(od -An -tx1 -v <"$1.pol" | tr -d ' \n')"
  ok flushcontext t.ctx
}
trial policyauthvalue
trial policypassword
trial policycommandcode TPM2_CC_Unseal
trial policylocality zero
trial policypcr -l sha256:0,1
trial policysecret -c o
trial policynvwritten s
trial policycountertimer --ult 100000000
head -c 32 /dev/zero >h32
printf '\000\040' | cat - h32 >h2b
trial policycphash --cphash-input h2b
trial policynamehash -n h32
trial policytemplate --template-hash h32
trial policyor sha256:policypcr.pol,policyauthvalue.pol
openssl genrsa -out sk.pem 2048 2>/dev/null
openssl rsa -in sk.pem -pubout -out pk.pem 2>/dev/null
printf 'secret' >secret
seal() { # seal POLICY
  ok create -C p.ctx -i secret -u s.pub -r s.priv -L "$1" -p pass
  ok load -C p.ctx -u s.pub -r s.priv -c s.ctx
  ok startauthsession --policy-session -S s.ses
}
done_() { ok flushcontext s.ses; }
seal policyauthvalue.pol
ok policyauthvalue -S s.ses
show unseal -c s.ctx -p session:s.ses+pass
done_
seal policypassword.pol
ok policypassword -S s.ses
no unseal -c s.ctx -p session:s.ses+wrong
done_
ok startauthsession --policy-session -S s.ses
ok policypassword -S s.ses
show unseal -c s.ctx -p session:s.ses+pass
done_
seal policypcr.pol
ok policypcr -S s.ses -l sha256:0,1
show unseal -c s.ctx -p session:s.ses
done_
ok startauthsession --policy-session -S s.ses
no unseal -c s.ctx -p session:s.ses
ok policypcr -S s.ses -l sha256:0,1
ok pcrextend 0:sha256=$(sha256sum <secret | cut -d' ' -f1)
no unseal -c s.ctx -p session:s.ses
ok policyrestart -S s.ses
ok policypcr -S s.ses -l sha256:0,1
no unseal -c s.ctx -p session:s.ses
done_
seal policycommandcode.pol
ok policycommandcode -S s.ses TPM2_CC_Unseal
show unseal -c s.ctx -p session:s.ses
done_
seal policylocality.pol
ok policylocality -S s.ses zero
show unseal -c s.ctx -p session:s.ses
done_
seal policysecret.pol
ok policysecret -S s.ses -c o
show unseal -c s.ctx -p session:s.ses
done_
ok startauthsession --policy-session -S s.ses
no policysecret -S s.ses -c o wrong
done_
seal policyor.pol
ok policyauthvalue -S s.ses
ok policyor -S s.ses sha256:policypcr.pol,policyauthvalue.pol
show unseal -c s.ctx -p session:s.ses+pass
done_
ok loadexternal -C o -G rsa -u pk.pem -c pk.ctx -n pk.name
ok startauthsession -S t.ctx
ok policysigned -S t.ctx -g sha256 -c pk.ctx -L signed.pol --raw-data tosign
openssl dgst -sha256 -sign sk.pem -out sig tosign
ok policysigned -S t.ctx -g sha256 -s sig -f rsassa -c pk.ctx -L signed.pol
ok flushcontext t.ctx
seal signed.pol
ok policysigned -S s.ses -g sha256 -s sig -f rsassa -c pk.ctx
show unseal -c s.ctx -p session:s.ses
done_
ok startauthsession --policy-session -S s.ses
no policysigned -S s.ses -g sha256 -s sig -f rsassa -c pk.ctx -x
done_
ok startauthsession -S t.ctx
ok policyauthorize -S t.ctx -L authorize.pol -n pk.name -i policypcr.pol
ok flushcontext t.ctx
ok startauthsession --policy-session -S s.ses
ok policypcr -S s.ses -l sha256:2 -L now.pol
openssl dgst -sha256 -sign sk.pem -out sig now.pol
ok verifysignature -c pk.ctx -g sha256 -m now.pol -s sig -t tkt -f rsassa
ok policyauthorize -S s.ses -i now.pol -n pk.name -t tkt
done_
seal authorize.pol
ok policypcr -S s.ses -l sha256:2
ok policyauthorize -S s.ses -i now.pol -n pk.name -t tkt
show unseal -c s.ctx -p session:s.ses
done_
ok nvdefine -C o -s 8 -a 'ownerread|ownerwrite|authread|authwrite' 0x1500030
printf '\000\000\000\000\000\000\000\005' >five
printf '\000\000\000\000\000\000\000\007' >seven
ok nvwrite -C o -i five 0x1500030
ok startauthsession --policy-session -S s.ses
ok policynv -S s.ses -i five -C o 0x1500030 eq
ok policynv -S s.ses -i seven -C o 0x1500030 ult
no policynv -S s.ses -i seven -C o 0x1500030 ugt
done_
ok policyduplicationselect --help=no-man
ok startauthsession -S t.ctx
ok readpublic -c p.ctx -n p.name
ok policyduplicationselect -S t.ctx -N p.name -L dup.pol
od -An -tx1 -v <dup.pol | tr -d ' \n' | wc -c
ok flushcontext t.ctx
ok nvdefine -C o -s 34 -a 'ownerread|ownerwrite|authread|authwrite' 0x1500031
printf '\000\013' >policy.nv
cat policypcr.pol >>policy.nv
ok nvwrite -C o -i policy.nv 0x1500031
ok startauthsession -S t.ctx
ok policyauthorizenv -S t.ctx -C o -L authnv.pol 0x1500031
ok flushcontext t.ctx
ok startauthsession -S t.ctx
ok policysecret -S t.ctx -c o -L p.pol -t 0
ok policyticket --help=no-man
ok getpolicydigest -S t.ctx -o digest
same digest p.pol
ok flushcontext t.ctx
