# Completion of sendqctl for bash: commands, options, and the names of sites,
# as "sendqctl --json sites" gives them.  To be sourced, or put among the
# completions of the system under the name "sendqctl".

_sendqctl_sites()
{
	# A completion has no time for a daemon that does not answer.
	timeout 2 sendqctl "$@" --json sites 2>/dev/null </dev/null |
		sed -n 's/^{"item":"site","name":"\([^"]*\)".*/\1/p'
}

_sendqctl()
{
	local commands="list show destinations sites top release hold free \
		delete requeue expire check import export"
	local filter="--id --sender --recipient --domain --site --destination \
		--older --larger"
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
	local command="" options="-c --json" i
	local -a file=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c)
			file=(-c "${COMP_WORDS[i+1]}")
			((i++))
			;;
		--id | --sender | --recipient | --domain | --site | \
			--destination | --older | --larger | --sort | --count)
			((i++))
			;;
		-*) ;;
		*)
			[ -n "$command" ] || command=${COMP_WORDS[i]}
			;;
		esac
	done
	COMPREPLY=()
	case $before in
	-c)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--site)
		mapfile -t COMPREPLY < <(
			compgen -W "$(_sendqctl_sites "${file[@]}")" -- "$word")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W "count bytes age" -- "$word")
		return
		;;
	--id | --sender | --recipient | --domain | --destination | --older | \
		--larger | --count)
		return
		;;
	esac
	case $command in
	"") options="$options --help --version $commands" ;;
	list) options="$options $filter" ;;
	hold | free | delete | requeue | expire)
		options="$options $filter --dry-run"
		if [[ $command == hold ]]; then
			options="$options --reason"
		fi
		;;
	import | export)
		mapfile -t COMPREPLY < <(
			compgen -W "$options $filter" -- "$word"
			compgen -d -- "$word")
		return
		;;
	top) options="$options --sort --count" ;;
	check) options="$options --rebuild" ;;
	release)
		if [[ $word != -* ]]; then
			options=$(_sendqctl_sites "${file[@]}")
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}

complete -F _sendqctl sendqctl
