# Sessions: HMAC, bound, salted, encrypted, audit.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok createprimary -C o -c p.ctx
printf 'secret' >secret
ok create -C p.ctx -i secret -u s.pub -r s.priv -p pass
ok load -C p.ctx -u s.pub -r s.priv -c s.ctx
ok startauthsession --hmac-session -S h.ctx
show unseal -c s.ctx -p session:h.ctx+pass
ok sessionconfig h.ctx --enable-encrypt --enable-decrypt
show unseal -c s.ctx -p session:h.ctx+pass
no unseal -c s.ctx -p session:h.ctx+wrong
ok flushcontext h.ctx
ok startauthsession --hmac-session -c p.ctx -S h.ctx
show unseal -c s.ctx -p session:h.ctx+pass
ok sessionconfig h.ctx --enable-encrypt
show unseal -c s.ctx -p session:h.ctx+pass
ok flushcontext h.ctx
ok startauthsession --hmac-session --tpmkey-context p.ctx --bind-context s.ctx --bind-auth pass -S h.ctx
show unseal -c s.ctx -p session:h.ctx+pass
ok flushcontext h.ctx
ok startauthsession --hmac-session -g sha384 -S h.ctx
show unseal -c s.ctx -p session:h.ctx+pass
ok flushcontext h.ctx
ok startauthsession --audit-session -S a.ctx
ok getrandom -S a.ctx -o r 4
ok flushcontext a.ctx
ok getcap handles-loaded-session
ok getcap handles-saved-session
ok startauthsession --hmac-session -S h.ctx
show getcap handles-saved-session
ok flushcontext -s
show getcap handles-saved-session
show getcap handles-loaded-session
# What a session audits is what the client computes from the command and the response.
ok create -C p.ctx -G ecc256 -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign' -u k.pub -r k.priv
ok load -C p.ctx -u k.pub -r k.priv -c k.ctx
ok startauthsession --audit-session -S a.ctx
ok sessionconfig a.ctx --enable-audit
ok getrandom -S a.ctx --cphash cp --rphash rp -o r 8
tail -c +3 cp >cp.hash
tail -c +3 rp >rp.hash
ok getsessionauditdigest -c k.ctx -m att -s sig -S a.ctx -g sha256
head -c 32 /dev/zero | cat - cp.hash rp.hash | openssl dgst -sha256 -binary >expected
tail -c 32 att >audited
same expected audited
ok flushcontext a.ctx
