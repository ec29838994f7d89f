"""A launcher without processes: Jobs run until told to exit."""

from __future__ import annotations

from libs.common.launching.protocol import Job, Launch


class FakeLauncher:
    """Implements `libs.common.launching.protocol.Launcher`; `orders` is all that was started.

    Each error put into `fail_next` is raised by one later call, before that call does anything;
    one in `fail_after_launch` when the Job was started all the same, in `fail_cancel` by `cancel`.
    """

    def __init__(self) -> None:
        self.running: dict[str, Job] = {}
        self.orders: list[Launch] = []
        self.cancelled: list[str] = []
        self.fail_next: list[BaseException] = []
        self.fail_after_launch: list[BaseException] = []
        self.fail_cancel: list[BaseException] = []

    async def launch(self, order: Launch) -> None:
        self._maybe_fail(self.fail_next)
        if order.job_name in self.running:
            return
        self.orders.append(order)
        self.running[order.job_name] = Job(
            job_name=order.job_name, task_id=order.task_id, phase="running"
        )
        self._maybe_fail(self.fail_after_launch)

    async def jobs(self) -> list[Job]:
        self._maybe_fail(self.fail_next)
        return list(self.running.values())

    async def cancel(self, job_name: str) -> None:
        self._maybe_fail(self.fail_next)
        self._maybe_fail(self.fail_cancel)
        if self.running.pop(job_name, None):
            self.cancelled.append(job_name)

    async def trouble(self) -> str | None:
        return None

    def exit(self, job_name: str, reason: str = "run was stopped", exit_code: int = 1) -> None:
        """Let a running Job end by itself."""
        task_id = self.running[job_name].task_id
        self.running[job_name] = Job(
            job_name=job_name, task_id=task_id, phase="exited", reason=reason, exit_code=exit_code
        )

    def _maybe_fail(self, errors: list[BaseException]) -> None:
        if errors:
            raise errors.pop(0)
