"""The tool agent: an actor that calls tools, and critics that judge every step before and after it is done.

Before an action a critic may block it, warn or let it pass; after the results it may say which step went wrong: that
step and all after it are taken out of the conversation, and the actor goes on from before it with the critique. Every
tool call is a task of its own, so that a checkpointer or the log keeps each that has ended. Each failure is a message
to the actor and an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from langgraph.errors import GraphBubbleUp
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from actorcritic.errors import InputError
from actorcritic.graphs.agent_desk import AgentDesk
from actorcritic.graphs.agent_loop import AgentLoop
from actorcritic.graphs.agent_roles import AnyStepCritic, critics_of, engine_of
from actorcritic.graphs.agent_state import ToolAgentInput, ToolAgentOutput, ToolAgentSettings, ToolAgentState, ToolTask
from actorcritic.graphs.results import RunFacts
from actorcritic.loading import Model
from actorcritic.protocols import Engine, EngineInfo
from actorcritic.step_critics import ModelStepCritic
from actorcritic.tools.running import AgentTool, ToolBox
from actorcritic.trajectory.agent_log import AgentLog
from actorcritic.trajectory.provenance import ModelOrigin, Provenance, provenance_config
from actorcritic.types import JsonValue, Role

__all__ = ["ToolAgentGraph", "tool_agent_graph"]

ToolAgentGraph = CompiledStateGraph[ToolAgentState, None, ToolAgentInput, ToolAgentOutput]

STRATEGY = "tool-agent"


def tool_agent_graph(
    model: Model,
    tools: Sequence[AgentTool] = (),
    critic: AnyStepCritic | Sequence[AnyStepCritic] | None = None,
    settings: ToolAgentSettings | None = None,
    *,
    log: AgentLog | None = None,
) -> ToolAgentGraph:
    """Build an agent with tools and step critics.

    Args:
        model: The actor: a LangChain chat model, an engine or a model spec; it must take tools.
        tools: LangChain tools or functions.
        critic: Who judges the steps, or several who are asked in turn until one blocks: a model, a function
            `critic(step) -> Judgement`, `"human"`, a `Critic` of solutions (it judges the answer), or any `StepCritic`.
        settings: How to work.
        log: Where the events go, such as `AgentLog.open(folder)`; None = nowhere.

    Returns:
        A compiled graph from `{"messages": [...]}` to `{"messages": [...], "answer": ..., "result": ...}`, to run alone
        or as a node of a bigger graph with the same `messages`. It keeps within the steps that its caller's recursion
        limit leaves. `stream_mode="custom"` shows every event (`subgraphs=True` inside a bigger graph), `"messages"`
        the tokens of a LangChain chat model. A human as critic needs a checkpointer.

    Raises:
        InputError: the model takes no tools, two tools have one name, or something is no model, tool or critic.
    """
    chosen = settings if settings is not None else ToolAgentSettings()
    engine = engine_of(model, own_sampling=chosen.sampling is None)
    if tools and not engine.info.capabilities.tools:
        raise InputError(f"{engine.info.name} takes no tools: choose a model that calls tools")
    box = ToolBox(tools, seconds=chosen.tool_seconds, output=chosen.tool_output, passes=(GraphBubbleUp,))
    critics = critics_of(critic, model, engine)
    judges = [one.engine for one in critics if isinstance(one, ModelStepCritic)]
    oracle = any(one.oracle for one in critics)
    events = log if log is not None else AgentLog()
    facts = RunFacts(
        strategy=STRATEGY,
        seed=chosen.seed,
        width=1,
        oracle=oracle,
        budget="hard" if all(one.info.capabilities.exact_counts for one in (engine, *judges)) else "estimated",
        run=events.run,
    )
    provenance = Provenance(
        library=_version(), strategy=STRATEGY, seed=chosen.seed, width=1, oracle=oracle, models=_origins(engine, judges)
    )
    config: dict[str, JsonValue] = {**provenance_config(provenance), "critics": [one.name for one in critics]}
    return _compile(
        AgentDesk(engine=engine, box=box, critics=critics, settings=chosen, log=events, facts=facts, config=config)
    )


def _compile(desk: AgentDesk) -> ToolAgentGraph:
    loop = AgentLoop(desk)
    graph = StateGraph(ToolAgentState, input_schema=ToolAgentInput, output_schema=ToolAgentOutput)
    graph.add_node("begin", loop.begin)
    graph.add_node("actor", loop.actor)
    graph.add_node("critic", loop.critic)
    graph.add_node("tool", loop.tool, input_schema=ToolTask)
    graph.add_node("observe", loop.observe)
    graph.add_edge(START, "begin")
    for node in ("begin", "actor", "critic", "observe"):
        graph.add_conditional_edges(node, loop.route, ["actor", "critic", "tool", "__end__"])
    graph.add_edge("tool", "observe")
    limit = (3 + 2 * len(desk.critics)) * (desk.settings.max_steps + 1) + 5
    return graph.compile(name="tool_agent").with_config(recursion_limit=limit)


def _origins(actor: Engine, judges: Sequence[Engine]) -> tuple[ModelOrigin, ...]:
    return (_origin("actor", actor.info), *(_origin("critic", judge.info) for judge in judges))


def _origin(role: Role, info: EngineInfo) -> ModelOrigin:
    return ModelOrigin(role=role, name=info.name, model=info.model, licence=info.licence)


def _version() -> str | None:
    try:
        return version("actorcritic")
    except PackageNotFoundError:
        return None
