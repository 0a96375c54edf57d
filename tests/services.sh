#!/usr/bin/env bash
# The services that the tests need, without Docker: a private RabbitMQ and a private PostgreSQL on free loopback
# ports, with their data in a directory of their own. Nothing that already runs is touched.
#
#   tests/services.sh run COMMAND...            start both, run COMMAND, stop both, exit as COMMAND did
#   tests/services.sh kill    broker|database   kill -9, as a crash would
#   tests/services.sh start   broker|database   start again: same port, same data
#   tests/services.sh restart broker|database   kill, then start
#   tests/services.sh block|unblock broker      raise its memory alarm, as a broker without memory would, and end it
#   tests/services.sh cripple|heal broker       end its dead-letter workers, as their crashes do, and start them
#   tests/services.sh install PACKAGE           one of the packages that run installs, if it is missing
#
# COMMAND finds them through SNORRI_TEST_AMQP_URL and SNORRI_TEST_DATABASE_URL, and RabbitMQ's management API through
# SNORRI_TEST_MANAGEMENT_URL; when the first two are set already, run starts nothing. All but run and install work within
# COMMAND only: they need SNORRI_TEST_SERVICES_DIR, which run sets.

set -euo pipefail
readonly TIMEOUT_SECONDS=120 # of one start or kill: a few seconds do, but a machine that compiles is slow
readonly MEMORY_LIMIT=2GB # of the broker

main() {
    find_servers
    case "${1:-} ${2:-}" in
        "run "?*) run "${@:2}" ;;
        "install "?*) install_missing "$2" ;;
        "kill broker" | "kill database") attach; kill_service "$2" ;;
        "start broker" | "start database") attach; start_service "$2" ;;
        "restart broker" | "restart database") attach; kill_service "$2"; start_service "$2" ;;
        "block broker") attach; control set_vm_memory_high_watermark absolute 1 ;;
        "unblock broker") attach; control set_vm_memory_high_watermark absolute "$MEMORY_LIMIT" ;;
        "cripple broker") attach; control eval 'ok = supervisor:terminate_child(rabbit_sup, rabbit_fifo_dlx_sup).' ;;
        "heal broker") attach; control eval '{ok, _} = supervisor:restart_child(rabbit_sup, rabbit_fifo_dlx_sup).' ;;
        *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
}

log() { echo "services: $*" >&2; }
die() { log "$*"; exit 1; }

run() { # command...
    local urls="${SNORRI_TEST_AMQP_URL:+1}${SNORRI_TEST_DATABASE_URL:+1}" status=0
    [[ $urls != 11 ]] || { log "starting nothing: both URLs are set in the environment"; exec "$@"; }
    [[ -z $urls ]] || die "set both SNORRI_TEST_AMQP_URL and SNORRI_TEST_DATABASE_URL, or neither"
    install_missing
    dir='' command_pid=''
    trap stop_everything EXIT
    trap 'pass_on INT' INT; trap 'pass_on TERM' TERM; trap 'pass_on HUP' HUP
    start_everything
    # In the foreground no trap would run before COMMAND ends. In the background it would ignore INT and have no
    # stdin: env and <&0 take that back. No wait before the end: a signal can make it miss the end, forever.
    env --default-signal=INT,QUIT "$@" <&0 &
    command_pid=$!
    while kill -0 "$command_pid" 2>/dev/null; do sleep 0.2; done
    wait "$command_pid" || status=$?
    exit "$status"
}

pass_on() { # signal: to all that descends from COMMAND, because cargo does not hand a TERM on to its tests
    [[ -n $command_pid ]] || exit $((128 + $(kill -l "$1")))
    mapfile -t pids < <(tree "$command_pid")
    kill -s "$1" "${pids[@]}" 2>/dev/null || true
}

start_everything() {
    local began=$SECONDS
    # Under /tmp, whatever TMPDIR is: a socket's path must be short, and the servers' users must get in.
    dir=$(mktemp -d /tmp/snorri-services.XXXXXX)
    ((EUID != 0)) || chmod 755 "$dir"
    find_ports
    echo "$amqp_port $dist_port $epmd_port $sql_port $management_port" >"$dir/ports"
    configure_broker
    start_service epmd # before the broker, which would start a shared one
    launch broker
    configure_database # while the broker boots
    start_service database
    start_service broker
    export SNORRI_TEST_AMQP_URL="amqp://guest:guest@127.0.0.1:$amqp_port/%2f"
    export SNORRI_TEST_MANAGEMENT_URL="http://guest:guest@127.0.0.1:$management_port"
    export SNORRI_TEST_DATABASE_URL="postgres://snorri@127.0.0.1:$sql_port/postgres"
    export SNORRI_TEST_SERVICES_DIR="$dir"
    log "RabbitMQ on port $amqp_port, PostgreSQL on port $sql_port, up in $((SECONDS - began)) s, in $dir"
}

stop_everything() {
    local status=$?
    trap '' INT TERM HUP
    [[ -n $dir ]] || return 0
    lock # COMMAND may have left a start behind that is under way
    kill_service database; kill_service broker; kill_service epmd
    ((status == 0)) || keep_logs
    rm -rf "$dir"
}

keep_logs() { # the last 10 MB of each
    local kept service
    kept=$(dirname "$0")/../target/services
    mkdir -p "$kept"
    for service in broker database; do
        tail -c 10000000 "$dir/$service.log" >"$kept/$service.log" 2>/dev/null || true
    done
    log "COMMAND failed: the logs of both are in $kept"
}

attach() {
    dir=${SNORRI_TEST_SERVICES_DIR:-}
    [[ -f $dir/ports ]] || die "no services of ours to kill or start: SNORRI_TEST_SERVICES_DIR='$dir'"
    lock
    read -r amqp_port dist_port epmd_port sql_port management_port <"$dir/ports"
}

lock() { exec 9>>"$dir/lock"; flock 9; } # one kill or start at a time, of which none outlasts its timeout

# Below the range out of which the kernel takes the ports of clients (32768 and up): there, a client could get the
# port of a service that is down for a while, or even connect to itself.
find_ports() {
    local port
    amqp_port=$((15000 + RANDOM % 3200 * 5))
    dist_port=$((amqp_port + 1)) epmd_port=$((amqp_port + 2)) sql_port=$((amqp_port + 3))
    management_port=$((amqp_port + 4))
    for port in "$amqp_port" "$dist_port" "$epmd_port" "$sql_port" "$management_port"; do
        ! listens "$port" || { find_ports; return; }
    done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # port

start_service() { # service
    local deadline=$((SECONDS + TIMEOUT_SECONDS))
    alive "$(pid_of "$1")" || launch "$1"
    until "answers_$1"; do
        { alive "$(pid_of "$1")" && ((SECONDS < deadline)); } ||
            die "the $1 does not start; its log ends with:"$'\n'"$(tail -n 40 "$dir/$1.log")"
        sleep 0.1
    done
}

launch() { # service
    "launch_$1" >>"$dir/$1.log" 2>&1 </dev/null 9>&- & # without the lock, which would stay locked
    echo $! >"$dir/$1.pid"
    disown # or bash would report that it was killed
}

kill_service() { # service
    local pid pids deadline=$((SECONDS + TIMEOUT_SECONDS)) lock_file=$dir/$1/data/postmaster.pid
    pid=$(pid_of "$1")
    alive "$pid" || return 0
    kill -STOP "$pid" || true # so that no child is born between the listing and the kill
    mapfile -t pids < <(tree "$pid")
    kill -KILL "${pids[@]}" 2>/dev/null || true
    for pid in "${pids[@]}"; do
        while alive "$pid"; do
            ((SECONDS < deadline)) || die "process $pid of the $1 does not die"
            sleep 0.02
        done
    done
    # PostgreSQL leaves what a crashed machine would not: a segment of shared memory, which is not freed if it is
    # not started again. And lock files, which keep it from starting while a zombie has the old pid.
    if [[ -f $lock_file ]]; then
        ipcrm -m "$(sed -n '7s/.* //p' "$lock_file")" 2>/dev/null || true
        rm -f "$lock_file" "$dir/$1"/.s.PGSQL.*
    fi
}

pid_of() { cat "$dir/$1.pid" 2>/dev/null || true; } # service
alive() { [[ -n $1 ]] && grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; } # pid

tree() { # pid: itself and its descendants, out of /proc because not every machine has ps
    echo "$1"
    { grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status || true; } | cut -d / -f 3 |
        while read -r child; do tree "$child"; done
}

# Replaces this shell by the command, so that its pid is the server's. A clean environment keeps the user's own
# RABBITMQ_* and PG* settings out, a session of its own keeps Ctrl-C out, and no server runs as root.
become() { # service user command...
    local prefix=(env -i "PATH=$PATH" "HOME=$dir/$1" LANG=C.UTF-8)
    mkdir -p "$dir/$1"
    cd "$dir/$1"
    if ((EUID == 0)); then
        chown -R "$2:" .
        prefix=(setpriv "--reuid=$2" "--regid=$2" --init-groups "${prefix[@]}")
    fi
    exec setsid "${prefix[@]}" "${@:3}"
}

launch_epmd() { become epmd rabbitmq epmd -address 127.0.0.1 -port "$epmd_port"; }
answers_epmd() { listens "$epmd_port"; }

configure_broker() {
    mkdir "$dir/broker"
    # Thresholds, not reservations: an alarm in the middle of a test would block every publisher.
    printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$amqp_port" 'disk_free_limit.absolute = 50MB' \
        "vm_memory_high_watermark.absolute = $MEMORY_LIMIT" "management.tcp.port = $management_port" \
        'management.tcp.ip = 127.0.0.1' >"$dir/broker/rabbitmq.conf"
    echo '[rabbitmq_management].' >"$dir/broker/enabled_plugins"
    echo '[].' >"$dir/broker/advanced.config"
}

launch_broker() {
    local own=$dir/broker private='-kernel inet_dist_use_interface {127,0,0,1}'
    local no_busy_wait='+sbwt none +sbwtdcpu none +sbwtdio none' # the tests share the cores
    local settings=(
        "RABBITMQ_NODENAME=snorri-test-$amqp_port@localhost" "RABBITMQ_DIST_PORT=$dist_port"
        "RABBITMQ_NODE_PORT=$amqp_port" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
        "ERL_EPMD_PORT=$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1
        "RABBITMQ_MNESIA_BASE=$own/data" "RABBITMQ_LOG_BASE=$own/log" RABBITMQ_LOGS=-
        "RABBITMQ_CONFIG_FILE=$own/rabbitmq.conf" "RABBITMQ_ADVANCED_CONFIG_FILE=$own/advanced.config"
        "RABBITMQ_ENABLED_PLUGINS_FILE=$own/enabled_plugins" RABBITMQ_CONF_ENV_FILE=/dev/null
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=$private $no_busy_wait"
        RUNNING_UNDER_SYSTEMD=true # the script then becomes the Erlang machine instead of waiting for it
    )
    become broker rabbitmq env "${settings[@]}" rabbitmq-server
}

control() { # arguments of rabbitmqctl
    local settings=("RABBITMQ_NODENAME=snorri-test-$amqp_port@localhost" "ERL_EPMD_PORT=$epmd_port")
    (become broker rabbitmq env "${settings[@]}" rabbitmqctl "$@") >&2
}

# The listener opens last in the boot, so the first byte of the handshake shows that everything else is ready.
answers_broker() (
    exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$amqp_port" || exit 1
    printf 'AMQP\0\0\011\001' >&3
    IFS= read -r -t 2 -N 1 first <&3 && [[ $first == $'\001' ]]
)

configure_database() {
    (become database postgres initdb --pgdata=data --username=snorri --auth=trust --encoding=UTF8 --locale=C \
        --no-sync) >"$dir/database.log" 2>&1 || die "initdb failed:"$'\n'"$(tail -n 40 "$dir/database.log")"
    # Durable as in production, or the results about crashes and speed would mean little. Dynamic shared
    # memory in files among the data, which go away with it, also after kill -9.
    printf '%s\n' "port = $sql_port" "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$dir/database'" \
        'fsync = on' 'synchronous_commit = on' 'max_connections = 200' 'shared_buffers = 256MB' \
        'max_wal_size = 2GB' 'dynamic_shared_memory_type = mmap' >>"$dir/database/data/postgresql.conf"
}

launch_database() { become database postgres postgres -D data; }
answers_database() { pg_isready -q -h 127.0.0.1 -p "$sql_port" -U snorri -d postgres; }

# Debian keeps PostgreSQL's servers out of the path, in one directory for each version: the highest is taken. Its
# rabbitmq-server in the path insists on the system's own directories; the script behind it does not.
find_servers() {
    PATH=/usr/lib/rabbitmq/bin:$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV | paste -sd :):$PATH
}

missing_packages() {
    type -P cc >/dev/null || echo build-essential # cargo links with it
    { type -P rabbitmq-server && type -P epmd; } >/dev/null || echo rabbitmq-server
    { type -P postgres && type -P initdb && type -P pg_isready; } >/dev/null || echo postgresql
    /usr/bin/python3 -c 'import pika' 2>/dev/null || echo python3-pika # for participants in Python
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || echo libfaketime # for processes with wrong clocks
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv # for tests/contract.sh
}

install_missing() { # [package]
    local packages output sudo=(sudo)
    mapfile -t packages < <(missing_packages | { grep -x "${1:-.*}" || true; })
    ((${#packages[@]} > 0)) || return 0
    ((EUID != 0)) || sudo=()
    type -P apt-get >/dev/null || die "missing: ${packages[*]} (Debian's names). Install these, or start a RabbitMQ
and a PostgreSQL yourself and set both URLs. With Docker:
    docker compose -f deploy/compose.yaml up -d --wait
    export SNORRI_TEST_AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f
    export SNORRI_TEST_MANAGEMENT_URL=http://guest:guest@127.0.0.1:15672
    export SNORRI_TEST_DATABASE_URL=postgres://snorri:snorri@127.0.0.1:5432/postgres"
    log "installing ${packages[*]}"
    # One run at a time. What another has just installed costs the second nothing.
    output=$("${sudo[@]}" flock "$0" bash -euc "$INSTALL_SCRIPT" - "${packages[@]}" 2>&1 </dev/null) ||
        die "could not install ${packages[*]}:"$'\n'"$(tail -n 20 <<<"$output")"
    find_servers
}

# As root. The packages would start their daemons: policy-rc.d is Debian's way to prevent that. It is restored afterwards.
# shellcheck disable=SC2016 # expanded where it runs
readonly INSTALL_SCRIPT='
policy=/usr/sbin/policy-rc.d
trap "rm -f $policy; [ ! -e $policy.saved ] || mv $policy.saved $policy" EXIT
[ ! -e $policy ] || mv $policy $policy.saved
printf "#!/bin/sh\nexit 101\n" >$policy; chmod 755 $policy
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"'

main "$@"
