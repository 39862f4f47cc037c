#compdef valkeep
# Completion of valkeep for zsh: source <(valkeep completion zsh), after compinit

_valkeep() {
  local value help
  local -a whole wholeShown open openShown
  while IFS=$'\t' read -r value help; do
    # What ends in = or / goes on without a space.
    if [[ $value == *[=/] ]]; then
      open+=("$value") openShown+=("$value${help:+  $help}")
    else
      whole+=("$value") wholeShown+=("$value${help:+  $help}")
    fi
  done < <(printf '%s\0' "${(@Q)words[2,CURRENT]}" | "${(Q)words[1]}" completion candidates 2>/dev/null)
  if ((${#whole} + ${#open} == 0)); then
    _files
    return
  fi
  ((${#whole})) && compadd -l -d wholeShown -a whole
  ((${#open})) && compadd -l -S '' -d openShown -a open
}

compdef _valkeep valkeep
