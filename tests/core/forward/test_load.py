from wgctl.core.forward.load import Load


def test_one_network_leaves_the_others_room_and_all_have_an_end() -> None:
    load = Load(in_all=3, of_network=2)

    assert [load.begin(b"a") for _ in range(3)] == [True, True, False]
    assert [load.begin(b"b") for _ in range(2)] == [True, False]
    load.end(b"a")
    assert load.begin(b"b")
    assert not load.begin(b"a")


def test_what_has_ended_takes_no_room() -> None:
    load = Load(in_all=2, of_network=1)
    for number in range(1000):
        network = number.to_bytes(6, "big")
        assert load.begin(network)
        load.end(network)

    assert load.begin(b"a")
