"""aiomqtt against the server: the way most asyncio programs speak MQTT."""

import asyncio

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cases import LIMIT, case, check, check_equal, main


def client(env, tail, **options):
    return aiomqtt.Client(
        env.host,
        env.port,
        identifier=env.client_id(tail),
        protocol=aiomqtt.ProtocolVersion(env.version),
        timeout=LIMIT,
        **options,
    )


def persistent(env):
    if not env.v5:
        return {"clean_session": False}
    connect = Properties(PacketTypes.CONNECT)
    connect.SessionExpiryInterval = 300
    return {"clean_start": False, "properties": connect}


async def receive(c):
    return await asyncio.wait_for(anext(c.messages), LIMIT)


async def receive_until(c, topic):
    messages = []
    while (message := await receive(c)).topic.value != topic:
        messages.append(message)
    return messages


@case
async def qos_both_ways(env):
    async with client(env, "pub") as pub, client(env, "sub") as sub:
        for granted in (0, 1, 2):
            filter_ = env.topic(f"g{granted}/+")
            await sub.subscribe(filter_, qos=granted)
            for qos in (0, 1, 2):
                await pub.publish(env.topic(f"g{granted}/q"), f"payload {qos}", qos=qos)
                message = await receive(sub)
                check_equal(message.payload, f"payload {qos}".encode(), "payload")
                check_equal(message.qos, min(qos, granted), f"QoS of {qos} at subscription {granted}")
            await sub.unsubscribe(filter_)


@case
async def concurrent_publishers(env):
    async with client(env, "sub") as sub:
        await sub.subscribe(env.topic("#"), qos=2)

        async def publish(n):
            async with client(env, f"pub{n}") as pub:
                for i in range(30):
                    await pub.publish(env.topic(f"p{n}"), str(i), qos=i % 3)

        async with asyncio.TaskGroup() as group:
            for n in range(10):
                group.create_task(publish(n))
            got = {}
            for _ in range(300):
                message = await receive(sub)
                key = (message.topic.value, message.qos)
                got.setdefault(key, []).append(int(message.payload))
        check_equal(len(got), 30, "publishers and QoS levels")
        for (topic, qos), numbers in got.items():
            check_equal(numbers, list(range(qos, 30, 3)), f"order on {topic} at QoS {qos}")


@case
async def retained(env):
    async with client(env, "pub") as pub:
        await pub.publish(env.topic("state"), "on", qos=1, retain=True)
        async with client(env, "sub") as sub:
            await sub.subscribe(env.topic("#"), qos=1)
            message = await receive(sub)
            check_equal((message.payload, message.retain), (b"on", True), "retained message")
        await pub.publish(env.topic("state"), None, qos=1, retain=True)
        async with client(env, "late") as late:
            await late.subscribe(env.topic("#"), qos=1)
            await pub.publish(env.topic("end"), qos=1)
            check_equal(await receive_until(late, env.topic("end")), [], "retained messages after the clear")


@case
async def will(env):
    async with client(env, "watcher") as watcher:
        await watcher.subscribe(env.topic("#"), qos=1)
        dying = client(env, "c", will=aiomqtt.Will(env.topic("will"), "gone", qos=1))
        await dying.__aenter__()
        dying._client._sock_close()
        message = await receive(watcher)
        check_equal(message.payload, b"gone", "will")


@case
async def shared(env):
    filter_ = f"$share/group/{env.topic('#')}"
    async with client(env, "a") as a, client(env, "b") as b, client(env, "pub") as pub:
        await a.subscribe(filter_, qos=1)
        await b.subscribe(filter_, qos=1)
        count = 60
        got = []

        async def collect(c):
            async for message in c.messages:
                got.append(int(message.payload))
                if len(got) == count:
                    done.set()

        done = asyncio.Event()
        tasks = [asyncio.create_task(collect(c)) for c in (a, b)]
        for i in range(count):
            await pub.publish(env.topic("job"), str(i), qos=1)
        await asyncio.wait_for(done.wait(), LIMIT)
        for task in tasks:
            task.cancel()
        check_equal(sorted(got), list(range(count)), "the group's messages, each once")


@case
async def offline_queue(env):
    async with client(env, "sub", **persistent(env)) as sub:
        await sub.subscribe(env.topic("#"), qos=1)
    async with client(env, "pub") as pub:
        for i in range(50):
            await pub.publish(env.topic("a"), str(i), qos=1)
    async with client(env, "sub", **persistent(env)) as sub:
        got = [int((await receive(sub)).payload) for _ in range(50)]
        check_equal(got, list(range(50)), "queued messages in order")


@case
async def large_payload(env):
    async with client(env, "c") as c:
        await c.subscribe(env.topic("a"), qos=2)
        payload = bytes(range(256)) * 3600
        for qos in (0, 1, 2):
            await c.publish(env.topic("a"), payload, qos=qos)
            check((await receive(c)).payload == payload, "content")


if __name__ == "__main__":
    main()
