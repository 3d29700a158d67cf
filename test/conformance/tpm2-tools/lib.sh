# Sourced by every script here. A script runs the distribution's tpm2-tools against the TPM that TPM2TOOLS_TCTI names
# and writes a transcript that any correct TPM gives, word for word.
set -u
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export TPM2TOOLS_ENABLE_ERRATA=1

# The last response code that a tool met, as ESYS prints it.
code() { grep -oE 'Es?ys_[A-Za-z0-9_]+\(0x[0-9A-F]+\)|ErrorCode \(0x[0-9a-f]+\)' err | tail -1; }

# Without a resource manager the tools leave their objects behind, those that load one.
tidy() {
  case ${1-} in flushcontext | getcap | pcr* | policy[aclnopt]* | policyduplicationselect | print | rc_decode) return ;; esac
  command tpm2_flushcontext -t >/dev/null 2>&1
}

# ok TOOL ARGUMENTS...: must succeed. Its output lies in the file out.
ok() {
  if "tpm2_$@" >out 2>err; then echo "ok $1"; else
    echo "FAILED tpm2_$* $(code)"
    cat err >&2
  fi
  tidy "$@"
}

# show TOOL ARGUMENTS...: must succeed, and what it prints is the same on every TPM.
show() {
  ok "$@"
  cat out
  [ -z "$(tail -c 1 out)" ] || echo
}

# no TOOL ARGUMENTS...: must be refused; the response code is part of the transcript.
no() {
  if "tpm2_$@" >out 2>err; then echo "NOT REFUSED tpm2_$*"; else echo "refused $1 $(code)"; fi
  tidy "$@"
  # A tool that is refused leaves its own session behind too; those of scripts are saved between tools.
  command tpm2_flushcontext -l >/dev/null 2>&1
}

# same A B: two files hold the same bytes.
same() { cmp -s "$1" "$2" && echo "same" || echo "DIFFERENT $1 $2"; }

# size FILE
size() { echo "$1: $(wc -c <"$1") bytes"; }

# hex FILE: its bytes.
hex() { echo "$1 $(od -An -tx1 -v <"$1" | tr -d ' \n')"; }
