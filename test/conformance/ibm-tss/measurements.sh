# Events, event logs, the clock, locks of NV, whole applications.
. "$(dirname "$0")/lib.sh"
ok startup
# A log of one event in the form of TPM 1.2, then of TPM 2.0; IMA's own.
hex() { printf '%b' "$(printf '%s' "$1" | sed 's/../\\x&/g')"; }
zeros() { printf "%0$((2 * $1))d" 0; }
{
  hex "0000000003000000$(zeros 20)21000000"
  hex '53706563204944204576656e74303300000000000002000201000000' # Spec ID Event03, PC client, 2.0
  hex '0b00200000'
} >log
hex "0400000004000000010000000b00$(zeros 31)01040000000000000000" | head -c 54 >>log
hex '' >>log
ok eventextend -if log
show pcrread -ha 4 -halg sha256
hex "0a000000$(zeros 19)0106000000696d612d6e670400000064617461" >ima
ok imaextend -if ima -le
show pcrread -ha 10 -halg sha1
ok clockset -hi p -time 100000000
no clockset -hi p -time 1
ok nvdefinespace -hi o -ha 01000000 -pwdn nn -sz 8 +at wst +at rst
ok nvwrite -ha 01000000 -pwdn nn -ic 12345678
no nvchangeauth -ha 01000000 -pwdo nn -pwdn new
ok nvwritelock -ha 01000000 -pwdn nn
no nvwrite -ha 01000000 -pwdn nn -ic 12345678
ok nvreadlock -ha 01000000 -pwdn nn
no nvread -ha 01000000 -pwdn nn -sz 8
ok nvundefinespace -hi o -ha 01000000
# Its owner changes a password by policy; the platform takes away what only a policy lets go.
ok startauthsession -se t
ok policycommandcode -ha 03000000 -cc 13b
ok policyauthvalue -ha 03000000
ok policygetdigest -ha 03000000 -of change.pol
ok flushcontext -ha 03000000
ok nvdefinespace -hi o -ha 01000000 -pwdn nn -sz 8 -pol change.pol
ok startauthsession -se p
ok policycommandcode -ha 03000000 -cc 13b
ok policyauthvalue -ha 03000000
ok nvchangeauth -ha 01000000 -pwdo nn -pwdn new -se0 03000000 0
ok nvwrite -ha 01000000 -pwdn new -ic 12345678
ok nvundefinespace -hi o -ha 01000000
ok startauthsession -se t
ok policycommandcode -ha 03000000 -cc 11f
ok policygetdigest -ha 03000000 -of special.pol
ok flushcontext -ha 03000000
ok nvdefinespace -hi p -ha 01000000 -pwdn nn -sz 8 -pol special.pol +at pold
no nvundefinespace -hi p -ha 01000000
ok startauthsession -se p
ok policycommandcode -ha 03000000 -cc 11f
ok nvundefinespacespecial -ha 01000000 -pwdn nn -se0 03000000 0
ok returncode 98e
cat out
printf '80010000000c0000017b0004 ' >packet
ok timepacket -if packet -l 2
