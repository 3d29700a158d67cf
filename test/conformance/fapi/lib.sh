# Sourced by every script here. A script runs the tss2_* tools of the Feature API against the TPM that TPM_TCTI names,
# with a keystore of its own, and writes a transcript that any correct TPM gives, word for word.
set -u
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir user system log
cat >config.json <<CONFIG
{
  "profile_name": "${PROFILE:-P_ECCP256SHA256}",
  "profile_dir": "/etc/tpm2-tss/fapi-profiles/",
  "user_dir": "$work/user",
  "system_dir": "$work/system",
  "tcti": "$TPM_TCTI",
  "system_pcrs": [],
  "ek_cert_less": "yes",
  "log_dir": "$work/log"
}
CONFIG
export TSS2_FAPICONF=$work/config.json TSS2_LOG=all+none

# ok TOOL ARGUMENTS...: must succeed. Its output lies in the file out.
ok() {
  if "tss2_$@" >out 2>err; then echo "ok $1"; else
    echo "FAILED tss2_$* $(grep -oE 'Fapi_[A-Za-z]+\(0x[0-9A-F]+\)' err | tail -1)"
    cat err >&2
  fi
}

# show TOOL ARGUMENTS...: must succeed, and what it prints is the same on every TPM.
show() {
  ok "$@"
  cat out
  [ -z "$(tail -c 1 out)" ] || echo
}

# no TOOL ARGUMENTS...: must be refused; the response code is part of the transcript.
no() {
  if "tss2_$@" >out 2>err; then echo "NOT REFUSED tss2_$*"; else
    echo "refused $1 $(grep -oE 'Fapi_[A-Za-z]+\(0x[0-9A-F]+\)' err | tail -1)"
  fi
}

# same A B: two files hold the same bytes.
same() { cmp -s "$1" "$2" && echo "same" || echo "DIFFERENT $1 $2"; }
