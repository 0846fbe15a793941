# Completes the last word of a line: types it into a zsh on a terminal of its own, presses Tab, and prints what the
# last word is then.
#
# usage: zsh -f complete.zsh COMPLETIONS LINE
zmodload zsh/zpty zsh/zselect
export ZDOTDIR=$(mktemp -d)
trap 'rm -rf $ZDOTDIR' EXIT
export COMPLETIONS=${1:h} TERM=dumb
cat >$ZDOTDIR/.zshrc <<'END'
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit
compinit -u -D
bindkey -e
unsetopt list_beep
# Control-T writes down what the line is.
tell() { print -r -- $BUFFER >$ZDOTDIR/.line && mv $ZDOTDIR/.line $ZDOTDIR/line }
zle -N tell
bindkey '^T' tell
zle-line-init() { : >$ZDOTDIR/ready }
zle -N zle-line-init
END

# Waits for a file, and reads away what the other one shows.
wait_for() {
	local shown
	for _ in {1..1200}; do
		zpty -r -t shell shown || true
		[[ ! -e $1 ]] || return 0
		zselect -t 5
	done
	print -u2 "no $1 within a minute"
	return 1
}

zpty -b shell 'zsh -d -i'
wait_for $ZDOTDIR/ready || exit 1
zpty -w -n shell "$2"$'\t\x14'
wait_for $ZDOTDIR/line || exit 1
words=(${(z)"$(<$ZDOTDIR/line)"})
zpty -d shell
print -r -- $words[-1]
