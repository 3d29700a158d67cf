# Comparisons of policies: every operator. Two negative numbers are for policy tests: swtpm 0.7.1 compares them as sign and
# magnitude (errata 1.4 of revision 1.59, section 2.5).
. "$(dirname "$0")/lib.sh"
ok startup -c
ok nvdefine -C o -s 2 -a 'ownerread|ownerwrite|authread|authwrite' 0x1500031
# bytes HEX...: the file "operand".
bytes() { printf '%b' "$(printf '%s' "$1" | sed 's/../\\x&/g')" >operand; }
ok startauthsession --policy-session -S s.ses
# compare A B: what holds between them.
compare() {
  bytes "$1"
  tpm2_nvwrite -Q -C o -i operand 0x1500031
  bytes "$2"
  held=
  for operation in eq neq sgt ugt slt ult sge uge sle ule bs bc; do
    if tpm2_policynv -Q -C o -S s.ses -i operand 0x1500031 $operation 2>err; then held="$held $operation"; else
      command tpm2_flushcontext -l 2>/dev/null
    fi
  done
  echo "$1 and $2:$held"
}
compare 00 00
compare 01 02
compare 02 01
compare 7f 80
compare 80 7f
compare 81 81
compare ff 01
compare 0102 0104
compare 0f0f 0f00
ok flushcontext s.ses
