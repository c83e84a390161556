from kdlab.store.fingerprint import file_hash, fingerprint


def test_key_order_and_whole_floats_change_nothing():
    assert fingerprint({"a": 4, "b": [1.0, {"c": 2}]}) == fingerprint({"b": [1, {"c": 2.0}], "a": 4.0})


def test_values_keys_order_in_lists_and_types_count():
    different = [
        {"a": 4},
        {"a": 5},
        {"b": 4},
        {"a": "4"},
        {"a": [1, 2]},
        {"a": [2, 1]},
        {"a": None},
        {"a": True},
        {"a": 1},
    ]
    assert len({fingerprint(parts) for parts in different}) == len(different)


def test_a_file_counts_by_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    (tmp_path / "c").write_bytes(b"other")
    assert file_hash(tmp_path / "a") == file_hash(tmp_path / "b") != file_hash(tmp_path / "c")
