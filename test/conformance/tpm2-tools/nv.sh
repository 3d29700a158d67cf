# NV storage: ordinary, counter, bits, extend, PIN; locks; attributes; authorisation.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok nvdefine -C o -s 32 -a 'ownerread|ownerwrite|authread|authwrite|read_stclear|write_stclear' -p pass 0x1500001
show nvreadpublic 0x1500001
printf 'hello' >d
no nvread -C o 0x1500001
ok nvwrite -C o -i d 0x1500001
ok nvread -C o -s 5 0x1500001
cat out
echo
ok nvread -C 0x1500001 -P pass -s 3 --offset 2 0x1500001
cat out
echo
no nvread -C 0x1500001 -P wrong 0x1500001
no nvwrite -C o -i d --offset 30 0x1500001
no nvread -C o -s 40 0x1500001
no nvdefine -C o -s 32 0x1500001
ok nvwritelock -C o 0x1500001
no nvwrite -C o -i d 0x1500001
ok nvreadlock -C o 0x1500001
no nvread -C o 0x1500001
ok nvreadpublic 0x1500001
grep friendly out
ok nvdefine -C o -a 'ownerread|ownerwrite|authread|authwrite|nt=counter' 0x1500002
no nvread -C o 0x1500002
ok nvincrement -C o 0x1500002
ok nvread -C o -o c1 0x1500002
ok nvincrement -C o 0x1500002
ok nvread -C o -o c2 0x1500002
echo $((0x$(od -An -tx1 -v <c2 | tr -d ' \n') - 0x$(od -An -tx1 -v <c1 | tr -d ' \n')))
no nvwrite -C o -i d 0x1500002
ok nvdefine -C o -a 'ownerread|ownerwrite|authread|authwrite|nt=bits' 0x1500003
ok nvsetbits -C o -i 0x0101 0x1500003
ok nvsetbits -C o -i 0x1000 0x1500003
ok nvread -C o -o b 0x1500003
od -An -tx1 b
ok nvdefine -C o -g sha256 -a 'ownerread|ownerwrite|authread|authwrite|nt=extend' 0x1500004
ok nvextend -C o -i d 0x1500004
ok nvread -C o -o x 0x1500004
od -An -tx1 -v x | tr -d ' \n'
echo
no nvincrement -C o 0x1500004
no nvdefine -C o -s 3000 -a 'ownerread|ownerwrite' 0x1500005
no nvdefine -C o -s 8 -a 'ppread|ppwrite|platformcreate' 0x1500006
ok nvdefine -C p -s 8 -a 'ppread|ppwrite|platformcreate|authread' 0x1500006
no nvundefine -C o 0x1500006
ok nvundefine -C p 0x1500006
ok nvundefine -C p 0x1500001
ok nvdefine -C o -s 8 -a 'ownerread|ownerwrite|writedefine' 0x1500007
ok nvwrite -C o -i d 0x1500007
ok nvwritelock -C o 0x1500007
no nvwrite -C o -i d 0x1500007
ok nvdefine -C o -s 8 -a 'ownerread|ownerwrite|globallock' 0x1500008
ok nvwritelock -C o --global
no nvwrite -C o -i d 0x1500008
ok shutdown
show getcap handles-nv-index
for i in 2 3 4 7 8; do ok nvundefine -C o 0x150000$i; done
show getcap handles-nv-index
ok nvdefine -C o -s 8 -a 'authread|policywrite|ownerwrite|nt=pinfail|no_da' -p pin 0x1500009
no nvread -C 0x1500009 -P pin 0x1500009
