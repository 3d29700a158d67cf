# Capabilities that are the same on every PC-client TPM.
. "$(dirname "$0")/lib.sh"
ok startup -c
ok getcap -l
for c in algorithms commands properties-fixed properties-variable ecc-curves handles-transient handles-persistent \
  handles-permanent handles-pcr handles-nv-index handles-loaded-session handles-saved-session pcrs; do
  ok getcap $c
done
show getcap handles-permanent
show getcap handles-pcr
show getcap pcrs
