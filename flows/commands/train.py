"""The command `train`: the student of the published manifest, in several processes if launched."""

from flows.commands.options import Config, open_run
from flows.commands.terminal.failures import continuation, failures_reported
from flows.commands.terminal.render import say
from flows.commands.terminal.screen import on_screen
from flows.dispatch.progress import TrainingBars, progress
from flows.state.corpus_state import corpus_states
from flows.state.models import find_student, student_receipt_path, validation_audio
from flows.state.publication import HolesError, find_current
from tasks.distil.outlook import Outlook
from tasks.distil.progress.choice import describe_trackers


def command(config: Config) -> None:
    """Train the student of the published manifest, as run does, but without Prefect.

    On several machines: `torchrun --nnodes 2 ... --no-python distillery train CONFIG`.
    """
    settings, store = open_run(config)
    store.check()
    with failures_reported(config, continuation("run", config, "distil")):
        states = corpus_states(settings, store)
        published = find_current(settings, store, states)
        if published is None:
            raise HolesError(
                "nothing to train on: the shards as they are now are not published; first:"
                f" {continuation('run', config, 'publish')}"
            )
        speech = validation_audio(states)
        path = student_receipt_path(settings, published, speech)
        receipt = find_student(settings, store, states, published)
        if receipt is None:
            from tasks.distil import make
            from tasks.distil.parallel import members

            if members.is_follower():
                make.follow_launched(settings, published, path)
                return
            num_steps = Outlook.of_content(settings, published.content).num_steps
            if where := describe_trackers(settings.runtime, store):
                say(f"training: {where}")
            with on_screen():
                bars = TrainingBars(progress().bar("distil", num_steps, "steps"))
                receipt = make.make_student_of(settings, store, published, path, speech, bars)
    say(f"student: {receipt.output.path}")
