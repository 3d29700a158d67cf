# Policies and enhanced authorisation.
. "$(dirname "$0")/lib.sh"
ok startup
ok createprimary -hi o -st -rsa
ok startauthsession -se t
ok policycommandcode -ha 03000000 -cc 15d
ok policyauthvalue -ha 03000000
ok policygetdigest -ha 03000000 -of pol
show policygetdigest -ha 03000000
ok flushcontext -ha 03000000
ok create -hp 80000000 -si -rsa -pwdk sig -pol pol -opr k.priv -opu k.pub
ok load -hp 80000000 -ipr k.priv -ipu k.pub
printf 'message' >m
ok startauthsession -se p
ok policycommandcode -ha 03000000 -cc 15d
no sign -hk 80000001 -if m -os sig -se0 03000000 1
ok policyauthvalue -ha 03000000
ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 03000000 1
ok policyrestart -ha 03000000
no sign -hk 80000001 -pwdk sig -if m -os sig -se0 03000000 1
ok flushcontext -ha 03000000
ok startauthsession -se h
ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 21
no sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 41
ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 21
no sign -hk 80000001 -pwdk no -if m -os sig -se0 02000000 21
ok flushcontext -ha 02000000
ok startauthsession -se h -hs 80000000
ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 21
ok flushcontext -ha 02000000
ok startauthsession -se h -sym aes
ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 21
ok flushcontext -ha 02000000
ok startauthsession -se h -bi 80000001 -pwdb sig
ok sign -hk 80000001 -pwdk sig -if m -os sig -se0 02000000 21
ok flushcontext -ha 02000000
ok getcapability -cap 1 -pr 02000000
ok flushcontext -ha 80000001
ok flushcontext -ha 80000000
