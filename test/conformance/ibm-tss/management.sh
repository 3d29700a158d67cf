# Hierarchies, clocks, capabilities, power.
. "$(dirname "$0")/lib.sh"
ok startup
ok hierarchychangeauth -hi o -pwdn oo
no createprimary -hi o -st
ok createprimary -hi o -pwdp oo -st
ok flushcontext -ha 80000000
ok hierarchychangeauth -hi o -pwda oo
ok readclock
ok clockrateadjust -hi p -adj 0
ok getrandom -by 8
printf 'x' >x
ok stirrandom -if x
ok dictionaryattackparameters -nmt 10 -nrt 20 -lr 30
ok dictionaryattacklockreset
ok hierarchycontrol -hi p -he o -state 0
no createprimary -hi o -st
ok hierarchycontrol -hi p -he o -state 1
ok setprimarypolicy -hi o
ok clearcontrol -hi p -state 1
no clear -hi p
ok clearcontrol -hi p -state 0
ok clear -hi p
ok changeeps
ok changepps
ok shutdown
# This TSS knows fewer PCR banks than four.
no getcapability -cap 5
for cap in 0 1 2 3 4 6 7 8; do ok getcapability -cap $cap; done
ok eccparameters -cv nistp256
ok eccparameters -cv nistp384
ok ecephemeral -ecc nistp256
ok pcrallocate -sha1 -sha256
