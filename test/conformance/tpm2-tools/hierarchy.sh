# Hierarchies, clear, lockout, clocks, seeds.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok changeauth -c o ownerpass
no createprimary -C o -c p.ctx
ok createprimary -C o -P ownerpass -c p.ctx
ok changeauth -c o -p ownerpass
ok changeauth -c e endpass
ok changeauth -c e -p endpass
ok changeauth -c l lockpass
ok clear lockpass
ok clearcontrol -C l s
no clear
ok clearcontrol -C p c
ok clear -c p
ok createprimary -C o -c p.ctx
ok readpublic -c p.ctx -n n1
ok clear -c p
ok createprimary -C o -c p.ctx
ok readpublic -c p.ctx -n n2
cmp -s n1 n2 && echo "SAME SEED" || echo "new seed"
ok createprimary -C e -c p.ctx
ok readpublic -c p.ctx -n n1
ok changeeps -p ''
ok createprimary -C e -c p.ctx
ok readpublic -c p.ctx -n n2
cmp -s n1 n2 && echo "SAME SEED" || echo "new seed"
ok createprimary -C p -c p.ctx
ok readpublic -c p.ctx -n n1
ok changepps -p ''
ok createprimary -C p -c p.ctx
ok readpublic -c p.ctx -n n2
cmp -s n1 n2 && echo "SAME SEED" || echo "new seed"
ok hierarchycontrol -C p shEnable clear
no createprimary -C o -c p.ctx
ok hierarchycontrol -C p shEnable set
ok createprimary -C o -c p.ctx
ok hierarchycontrol -C p ehEnable clear
no createprimary -C e -c p.ctx
ok hierarchycontrol -C p phEnable clear
no createprimary -C p -c p.ctx
ok shutdown -c
ok getcap properties-variable
grep -E 'Enable|disableClear|AuthSet|inLockout' out
ok dictionarylockout --setup-parameters --max-tries=3 --recovery-time=5 --lockout-recovery-time=6
ok getcap properties-variable
grep -A1 -E 'MAX_AUTH_FAIL|LOCKOUT_INTERVAL|LOCKOUT_RECOVERY' out
printf 's' >s
ok createprimary -C o -c p.ctx
ok create -C p.ctx -i s -u u -r r -p pass
ok load -C p.ctx -u u -r r -c s.ctx
no unseal -c s.ctx -p wrong
no unseal -c s.ctx -p wrong
no unseal -c s.ctx -p wrong
no unseal -c s.ctx -p pass
ok dictionarylockout -c
show unseal -c s.ctx -p pass
ok readclock
ok setclock 100000000
no setclock 1000
ok clockrateadjust s
ok setprimarypolicy -C o
head -c 32 /dev/zero >pol
ok setprimarypolicy -C o -L pol -g sha256
