# Runs in the machine of test/rxe: in-machine.sh [COMMAND...] -- FILE...
# The command, which runs the native tests of verbs, then each compiled test file, one after another by itself:
# the tap command takes more than a minute to start where the processor is emulated. Standard output is TAP as tap's own,
# a file's tests before the file. ROLE is the argument of a file that runs on two machines.
native=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  native+=("$1")
  shift
done
shift

if [ ${#native[@]} -gt 0 ]; then
  "${native[@]}" > /dev/shm/native 2>&1 || cat /dev/shm/native >&2
fi

number=0
for file in "$@"; do
  number=$((number + 1)) started=$(date +%s%N)
  timeout --kill-after 10 "${TAP_TIMEOUT:-900}" node --enable-source-maps "$file" $ROLE > /dev/shm/tap
  status=$?
  sed -e 's/^/    /' /dev/shm/tap
  result=ok
  [ "$status" = 0 ] || result='not ok'
  echo "$result $number - $file${ROLE:+ on host $ROLE} # time=$((($(date +%s%N) - started) / 1000000))ms"
done
