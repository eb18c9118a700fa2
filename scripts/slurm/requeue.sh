# Sourced by the job files: a job that is about to run out of time is requeued and continues later.
#
# Before the time limit (--signal) SLURM sends SIGUSR1 to this shell, which forwards it. train.py
# saves the current step and exits with 138. The job is requeued with the same id, so it continues in
# the same run directory. The time given in --signal must be enough for a validation and a save. For
# a preempted job SLURM sends SIGTERM to the processes directly; the run is saved in the same way, and
# requeued by SLURM (--requeue). This shell ignores SIGTERM: srun would answer it with SIGKILL.

REQUEUE=138 # 128 + SIGUSR1
JOB="${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
RUN_DIR="${RUN_DIR:-runs/slurm-$JOB}"

run_and_requeue() {
    "$@" &
    local job=$! code=0
    trap 'kill -USR1 $job' USR1
    trap : TERM
    wait $job || true
    while kill -0 $job 2>/dev/null; do # a signal interrupts `wait` before the job has ended
        wait $job || true
    done
    wait $job || code=$? # bash remembers the exit code
    if [ "$code" -eq $REQUEUE ]; then
        scontrol requeue "$JOB"
    fi
    exit "$code"
}
