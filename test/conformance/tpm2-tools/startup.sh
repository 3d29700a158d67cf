# Start-up, shut-down, self-tests, random numbers.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok startup -c
ok selftest
ok selftest -f
show gettestresult
show incrementalselftest sha256 rsa
ok incrementalselftest
ok shutdown
ok startup -c
ok shutdown -c
ok startup -c
ok getrandom -o r.bin 20
size r.bin
ok getrandom --hex 8
head -c 128 /dev/zero >seed
ok stirrandom seed
head -c 200 /dev/zero >seed
no stirrandom seed
ok testparms rsa2048
ok testparms ecc256
ok testparms ecc384
ok testparms aes128cfb
no testparms rsa1000
ok testparms ecc256:ecdsa-sha256
