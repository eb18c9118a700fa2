# Sourced by the job files: a job that is about to run out of time goes on in a later one.
#
# SLURM sends SIGUSR1 to this shell before the time limit (--signal); it is passed on; train.py saves
# the step in hand and exits with 138; the job is requeued, under the same id and so into the same run
# directory, where the same command continues. The time that --signal leaves must be enough for a
# validation and a save. To a preempted job SLURM sends SIGTERM, to the processes themselves; it is
# saved likewise, and requeued by SLURM (--requeue). Here SIGTERM is only survived: passed on to srun
# it would be answered with SIGKILL.

REQUEUE=138 # 128 + SIGUSR1
JOB="${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
RUN_DIR="${RUN_DIR:-runs/slurm-$JOB}"

run_and_requeue() {
    "$@" &
    local job=$! code=0
    trap 'kill -USR1 $job' USR1
    trap : TERM
    wait $job || true
    while kill -0 $job 2>/dev/null; do # a signal ends a wait before the job has ended
        wait $job || true
    done
    wait $job || code=$? # bash remembers how it ended
    if [ "$code" -eq $REQUEUE ]; then
        scontrol requeue "$JOB"
    fi
    exit "$code"
}
