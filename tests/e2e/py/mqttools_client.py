"""mqttools against the server: MQTT 5 at QoS 0, with a parser of its own and topic aliases."""

import asyncio

import mqttools

from cases import LIMIT, case, check, check_equal, main


def client(env, tail, **options):
    return mqttools.Client(
        env.host, env.port, client_id=env.client_id(tail), connect_delays=[], response_timeout=LIMIT, **options
    )


async def connected(env, tail, **options):
    c = client(env, tail, **options)
    await c.start()
    return c


async def receive(c):
    message = await asyncio.wait_for(c.messages.get(), LIMIT)
    check(message is not None, "the connection was lost")
    return message


@case
async def publish_and_subscribe(env):
    sub = await connected(env, "sub")
    await sub.subscribe(env.topic("+/x"))
    pub = await connected(env, "pub")
    for payload in (b"", b"a", bytes(range(256)) * 300):
        pub.publish(mqttools.Message(env.topic("1/x"), payload, response_topic="r/t"))
        message = await receive(sub)
        check_equal((message.topic, message.response_topic), (env.topic("1/x"), "r/t"), "message")
        check(message.message == payload, "payload")
    await sub.unsubscribe(env.topic("+/x"))
    await sub.stop()
    await pub.stop()


@case
async def alias_both_ways(env):
    topics = [env.topic(f"t{i}") for i in range(5)]
    sub = await connected(env, "sub", topic_alias_maximum=2)
    await sub.subscribe(env.topic("#"))
    pub = await connected(env, "pub", topic_aliases=topics[:3])
    for i in range(100):
        pub.publish(mqttools.Message(topics[i % 5], str(i).encode()))
    for i in range(100):
        message = await receive(sub)
        check_equal((message.topic, message.message), (topics[i % 5], str(i).encode()), "message by alias")


@case
async def retained(env):
    pub = await connected(env, "pub")
    pub.publish(mqttools.Message(env.topic("a"), b"on", retain=True))
    # The server has handled the publish when it answers what came after it.
    await pub.subscribe(env.topic("other"))
    sub = await connected(env, "sub")
    await sub.subscribe(env.topic("a"))
    message = await receive(sub)
    check_equal((message.message, message.retain), (b"on", True), "retained message")


@case
async def will(env):
    watcher = await connected(env, "watcher")
    await watcher.subscribe(env.topic("will"))
    dying = await connected(env, "c", will_topic=env.topic("will"), will_message=b"gone", will_qos=1)
    dying._writer.transport.abort()
    check_equal((await receive(watcher)).message, b"gone", "will")


@case
async def session_resumed(env):
    sub = await connected(env, "sub", session_expiry_interval=300)
    await sub.subscribe(env.topic("a"))
    await sub.stop()
    # Raises unless the server has the session.
    again = client(env, "sub", session_expiry_interval=300)
    await again.start(resume_session=True)
    pub = await connected(env, "pub")
    pub.publish(mqttools.Message(env.topic("a"), b"x"))
    check_equal((await receive(again)).message, b"x", "message of the resumed session")


if __name__ == "__main__":
    main()
