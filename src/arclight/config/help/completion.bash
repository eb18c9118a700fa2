# Completes python train.py and the scripts, of which no other Python program is asked anything.
hydra_bash_completion() {
    COMPREPLY=()
    local -a words
    local index script
    read -r -a words <<< "${COMP_LINE:0:${COMP_POINT:-${#COMP_LINE}}}"
    for ((index = 1; index < ${#words[@]}; index++)); do
        [[ ${words[index]} == *.py ]] && break
    done
    script=${words[index]/#\~/$HOME}
    [[ -f $script ]] && grep -q "^from arclight.config" "$script" || return 0
    mapfile -t COMPREPLY < <(
        COMP_LINE=$COMP_LINE COMP_POINT=${COMP_POINT:-} env "${words[@]:0:index}" "$script" \
            --shell-completion query=bash 2> /dev/null < /dev/null
    )
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F hydra_bash_completion python python3
