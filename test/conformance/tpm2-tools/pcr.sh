# Platform configuration registers: read, extend, event, reset, allocation.
. "$(dirname "$0")/lib.sh"
ok startup -c
show pcrread sha1:0,1,16,23+sha256:0,16,17,22,23
h=$(printf 'a' | sha256sum | cut -d' ' -f1)
s=$(printf 'a' | sha1sum | cut -d' ' -f1)
ok pcrextend 16:sha256="$h",sha1="$s" 4:sha256="$h"
show pcrread sha1:16+sha256:4,16
printf 'event data' >event
show pcrevent 9 event
show pcrread sha256:9+sha1:9
show pcrevent event
ok pcrreset 16
show pcrread sha256:16
no pcrreset 0
no pcrreset 17
no pcrextend 17:sha256="$h"
no pcrextend 24:sha256="$h"
show pcrallocate
show pcrallocate sha256:all+sha1:all
