# Completion of valkeep for bash: source <(valkeep completion bash)

_valkeep() {
  local words=() count=0 i word value rest
  # Bash takes words apart at = and :, which flags and their values hold: put together again what stood together.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if ((count > 0)) && [[ $word =~ ^[=:]+$ || ${COMP_WORDS[i - 1]} =~ ^[=:]+$ ]]; then
      words[count - 1]+=$word
    else
      words[count++]=$word
    fi
  done
  # What bash puts in takes the place of its own last word, and of nothing where that is a = or a :.
  local current=${words[count - 1]} own=${COMP_WORDS[COMP_CWORD]}
  [[ $own =~ ^[=:]+$ ]] && own=
  local before=${current%"$own"}
  COMPREPLY=()
  while IFS=$'\t' read -r value rest; do
    COMPREPLY+=("${value#"$before"}")
  done < <(printf '%s\0' "${words[@]}" | "$1" completion candidates 2>/dev/null)
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then compopt -o nospace 2>/dev/null || true; fi
}

complete -o default -F _valkeep valkeep
