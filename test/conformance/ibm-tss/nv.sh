# NV storage with its special cases.
. "$(dirname "$0")/lib.sh"
ok startup
printf '0123456789abcdef' >d
ok nvdefinespace -hi o -ha 01000000 -pwdn nn -sz 16
ok nvwrite -ha 01000000 -pwdn nn -if d
ok nvread -ha 01000000 -pwdn nn -sz 16 -of e
cmp d e && echo same
no nvread -ha 01000000 -pwdn wrong -sz 16
ok nvreadpublic -ha 01000000
no nvwritelock -ha 01000000 -pwdn nn
ok nvundefinespace -hi o -ha 01000000
ok nvdefinespace -hi o -ha 01000001 -pwdn nn -ty c
no nvread -ha 01000001 -pwdn nn -sz 8
ok nvincrement -ha 01000001 -pwdn nn
ok nvread -ha 01000001 -pwdn nn -sz 8
ok nvundefinespace -hi o -ha 01000001
ok nvdefinespace -hi o -ha 01000002 -pwdn nn -ty b
ok nvsetbits -ha 01000002 -pwdn nn -bit 3
show nvread -ha 01000002 -pwdn nn -sz 8
ok nvundefinespace -hi o -ha 01000002
ok nvdefinespace -hi o -ha 01000003 -pwdn nn -ty e
ok nvextend -ha 01000003 -pwdn nn -if d
show nvread -ha 01000003 -pwdn nn -sz 32
ok nvundefinespace -hi o -ha 01000003
ok nvdefinespace -hi o -ha 01000004 -pwdn nn -sz 8 +at gl
ok nvglobalwritelock -hia o
no nvwrite -ha 01000004 -pwdn nn -ic 12345678
ok nvundefinespace -hi o -ha 01000004
