# Completes the last word of a line, as bash does when somebody presses Tab: calls the function that the completions
# have registered, and prints what it offers.
#
# usage: bash complete.bash COMPLETIONS LINE
source "$1"
read -r -a COMP_WORDS <<<"$2"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE=$2
COMP_POINT=${#COMP_LINE}
registered=$(complete -p connledger)
[[ $registered =~ -F\ ([a-z_]+) ]] || exit 1
"${BASH_REMATCH[1]}" connledger "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
if ((${#COMPREPLY[@]} == 0)) && [[ $registered == *' -o default '* ]]; then
	# Readline takes files then.
	mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
fi
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
