#!/usr/bin/env bash
# The services that the tests need, without Docker: a private RabbitMQ and a private PostgreSQL on free loopback
# ports, with their data in a directory of their own. Nothing that already runs is touched.
#
#   tests/services.sh run COMMAND...            start both, run COMMAND, stop both, exit as COMMAND did
#   tests/services.sh kill    broker|database   kill -9, as a crash would
#   tests/services.sh start   broker|database   start again: same port, same data
#   tests/services.sh restart broker|database   kill, then start
#
# COMMAND finds the services through SNORRI_TEST_AMQP_URL and SNORRI_TEST_DATABASE_URL. When both are set already,
# run starts nothing and only runs COMMAND. The other three work from within COMMAND: they find the directory in
# SNORRI_TEST_SERVICES_DIR, which is not set when the services are not ours.

set -euo pipefail

readonly TIMEOUT_SECONDS=120 # of one start or kill: a few seconds do, but a machine that compiles is slow

main() {
    case "${1:-} ${2:-}" in
        "run "?*) run "${@:2}" ;;
        "kill broker" | "kill database") attach; kill_service "$2" ;;
        "start broker" | "start database") attach; start_service "$2" ;;
        "restart broker" | "restart database") attach; kill_service "$2"; start_service "$2" ;;
        *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
}

say() { echo "services: $*" >&2; }
die() { say "$*"; exit 1; }

run() { # command...
    local urls="${SNORRI_TEST_AMQP_URL:+1}${SNORRI_TEST_DATABASE_URL:+1}" signal status
    if [[ $urls == 11 ]]; then
        say "starting nothing: SNORRI_TEST_AMQP_URL and SNORRI_TEST_DATABASE_URL are set"
        exec "$@"
    fi
    [[ -z $urls ]] || die "set both SNORRI_TEST_AMQP_URL and SNORRI_TEST_DATABASE_URL, or neither"
    add_server_paths
    install_missing
    add_server_paths
    dir='' command_pid='' interrupted=yes
    # shellcheck disable=SC2064 # the signal's name is to be filled in now
    for signal in INT TERM HUP; do trap "pass_on $signal" "$signal"; done
    trap stop_everything EXIT
    start_everything

    # In the background, because bash runs no trap while it waits for a command in the foreground. In the
    # background a command would ignore INT and have no stdin: env and <&0 take that back.
    env --default-signal=INT,QUIT "$@" <&0 &
    command_pid=$!
    while [[ $interrupted == yes ]]; do
        interrupted=no status=0
        wait "$command_pid" || status=$?
    done
    exit "$status"
}

pass_on() { # signal: to all that descends from COMMAND, because cargo does not hand a TERM on to its tests
    local pids
    [[ -n $command_pid ]] || exit $((128 + $(kill -l "$1")))
    interrupted=yes
    mapfile -t pids < <(tree "$command_pid")
    kill -s "$1" "${pids[@]}" 2>/dev/null || true
}

start_everything() {
    local began=$SECONDS
    # Under /tmp, whatever TMPDIR says: a socket's path must be short, and the servers' users must get in.
    dir=$(mktemp -d /tmp/snorri-services.XXXXXX)
    ((EUID != 0)) || chmod 755 "$dir"
    find_ports
    echo "$amqp_port $dist_port $epmd_port $sql_port" >"$dir/ports"
    start_service epmd # before the broker, which would start a shared one
    configure_broker
    launch broker
    configure_database # while the broker boots
    start_service database
    start_service broker
    export SNORRI_TEST_AMQP_URL="amqp://guest:guest@127.0.0.1:$amqp_port/%2f"
    export SNORRI_TEST_DATABASE_URL="postgres://snorri@127.0.0.1:$sql_port/postgres"
    export SNORRI_TEST_SERVICES_DIR="$dir"
    say "RabbitMQ on port $amqp_port, PostgreSQL on port $sql_port, up in $((SECONDS - began)) s, in $dir"
}

stop_everything() {
    local service
    trap '' INT TERM HUP
    [[ -n $dir ]] || return 0
    lock # COMMAND may have left a start behind that is under way
    for service in database broker epmd; do kill_service "$service"; done
    rm -rf "$dir"
}

attach() {
    dir=${SNORRI_TEST_SERVICES_DIR:-}
    [[ -n $dir ]] || die "SNORRI_TEST_SERVICES_DIR is not set: the services are not ours to kill or start"
    [[ -f $dir/ports ]] || die "no services in $dir"
    lock
    read -r amqp_port dist_port epmd_port sql_port <"$dir/ports"
    add_server_paths
}

lock() { exec 9>>"$dir/lock"; flock 9; } # one kill or start at a time, of which none outlasts its timeout

# Below the range out of which the kernel takes the ports of clients (32768 and up): there, a client could get the
# port of a service that is down for a while, or even connect to itself.
find_ports() {
    amqp_port=$((15000 + RANDOM % 4000 * 4))
    dist_port=$((amqp_port + 1)) epmd_port=$((amqp_port + 2)) sql_port=$((amqp_port + 3))
    if listens "$amqp_port" || listens "$dist_port" || listens "$epmd_port" || listens "$sql_port"; then
        find_ports
    fi
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # port

start_service() { # service
    local deadline=$((SECONDS + TIMEOUT_SECONDS))
    alive "$(pid_of "$1")" || launch "$1"
    until "answers_$1"; do
        { alive "$(pid_of "$1")" && ((SECONDS < deadline)); } ||
            die "the $1 does not start. Its log ends with:"$'\n'"$(tail -n 40 "$dir/$1.log")"
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
    # PostgreSQL leaves what a crashed machine would not: a segment of shared memory, which nobody frees if it is
    # not started again, and a lock file, which keeps it from starting while a zombie has the old pid.
    if [[ -f $lock_file ]]; then
        ipcrm -m "$(sed -n '7s/.* //p' "$lock_file")" 2>/dev/null || true
        rm "$lock_file"
    fi
}

pid_of() { cat "$dir/$1.pid" 2>/dev/null || true; } # service
alive() { [[ -n $1 ]] && grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; } # pid

tree() { # pid: itself and its descendants, out of /proc because not every machine has ps
    local parent="^PPid:[[:space:]]*$1\$" child
    echo "$1"
    { grep -ls "$parent" /proc/[0-9]*/status || true; } | cut -d / -f 3 | while read -r child; do tree "$child"; done
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
        'vm_memory_high_watermark.absolute = 2GB' >"$dir/broker/rabbitmq.conf"
    echo '[].' | tee "$dir/broker/enabled_plugins" >"$dir/broker/advanced.config"
    : >"$dir/broker/rabbitmq-env.conf" # or the system's would be read
}

launch_broker() {
    local private='-kernel inet_dist_use_interface {127,0,0,1}'
    local no_busy_wait='+sbwt none +sbwtdcpu none +sbwtdio none' # the tests share the cores
    local settings=(
        "RABBITMQ_NODENAME=snorri-test-$amqp_port@localhost"
        "RABBITMQ_NODE_PORT=$amqp_port" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 "RABBITMQ_DIST_PORT=$dist_port"
        "ERL_EPMD_PORT=$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1
        RABBITMQ_{MNESIA_BASE=data,LOG_BASE=log,GENERATED_CONFIG_DIR=generated}
    )
}
