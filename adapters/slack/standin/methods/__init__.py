"""The methods of the Web API, one module per family; a new family joins the table below."""

from adapters.slack.standin.methods import apps, chat, conversations, history, reactions, users
from adapters.slack.standin.methods.call import Method

METHODS: dict[str, Method] = {
    **apps.METHODS,
    **chat.METHODS,
    **conversations.METHODS,
    **history.METHODS,
    **reactions.METHODS,
    **users.METHODS,
}
