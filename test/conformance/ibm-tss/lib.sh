# Sourced by every script here. A script runs the utilities of IBM's TSS (Debian: tss2) against the TPM that the
# TPM_* variables name, and writes a transcript that any correct TPM gives, word for word.
set -u
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export TPM_DATA_DIR=$work
# Sessions live from one utility to the next, without the key that one of them would encrypt their files with.
export TPM_ENCRYPT_SESSIONS=0

# ok TOOL ARGUMENTS...: must succeed.
ok() {
  if "tss$@" >out 2>&1; then echo "ok $1"; else
    echo "FAILED tss$* $(grep -oE 'failed, rc [0-9a-f]+' out)"
    cat out >&2
  fi
}

# show TOOL ARGUMENTS...: must succeed, and what it prints is the same on every TPM.
show() {
  ok "$@"
  cat out
}

# no TOOL ARGUMENTS...: must be refused; the response code is part of the transcript.
no() {
  if "tss$@" >out 2>&1; then echo "NOT REFUSED tss$*"; else echo "refused $1 $(grep -oE 'failed, rc [0-9a-f]+' out)"; fi
}
