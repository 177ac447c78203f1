#!/bin/sh
# verify.sh FRESH SHIPPED FILE... - are the files in SHIPPED, byte for byte, those that were just built in FRESH, and the
# ones that SHA256SUMS in SHIPPED speaks of? Says so of each; 1 if of one it is not so.

fresh=$1
shipped=$2
shift 2
status=0

wrong() {
  echo "$1" >&2
  status=1
}

# Compilers write their name and version into what they make.
compiler() { strings -a "$1" | sed -n 's/^GCC: //p' | head -n 1; }

for file; do
  if [ ! -e "$shipped/$file" ]; then
    wrong "$file: is not in $shipped; \`make -C c dist\` builds it"
    continue
  fi
  sum=$(sha256sum <"$shipped/$file")
  sum=${sum%% *}
  listed=$(sed -n "s/  $file\$//p" "$shipped/SHA256SUMS" 2>/dev/null)
  if ! cmp -s "$fresh/$file" "$shipped/$file"; then
    theirs=$(compiler "$shipped/$file")
    ours=$(compiler "$fresh/$file")
    if [ "$theirs" = "$ours" ]; then
      wrong "$file: differs from what these sources give"
    else
      wrong "$file: differs from what these sources give here; that was built by $theirs, this by $ours"
    fi
  elif [ "$listed" != "$sum" ]; then
    wrong "$file: SHA256SUMS has ${listed:-nothing} for it, it is $sum"
  else
    echo "$file: the same bytes, $sum"
  fi
done
exit $status
