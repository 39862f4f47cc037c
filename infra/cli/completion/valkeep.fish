# Completion of valkeep for fish: valkeep completion fish | source

function __valkeep_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    printf '%s\0' $words "$current" | $program completion candidates 2>/dev/null
end

complete -c valkeep -n 'not __fish_seen_subcommand_from rdb' -f
complete -c valkeep -a '(__valkeep_candidates)'
