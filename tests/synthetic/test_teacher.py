import json
from collections import Counter

from kitrec.synthetic.teacher import TemplateTeacher, with_outputs


def test_outputs_follow_kitrecs_format_and_name_the_ground_truth(world, dataset, items):
    records = with_outputs(dataset.records["A"]["train"], TemplateTeacher(world.themes, world.items))
    for record in records.iter_rows(named=True):
        thought, _, rest = record["output"].partition("</think>")
        assert thought.startswith("<think>\n")
        answer = json.loads(rest.strip().removeprefix("```json\n").removesuffix("\n```"))
        assert list(answer) == ["rank", "item_id", "title", "confidence_score", "rationale"]
        assert answer["item_id"] == record["gt_item_id"] and answer["rank"] == 1
        assert answer["title"] == (items[record["gt_item_id"]]["title"] or "Unknown")
        assert 1 <= answer["confidence_score"] <= 10
        assert record["gt_item_id"] in thought


def test_the_thought_names_the_frequent_themes_in_both_domains_words(world, dataset, items):
    record = dataset.records["B"]["train"].row(0, named=True)
    theme_of = {word: k for words in world.themes.values() for k, word in enumerate(words)}
    history = record["source_items"] + record["target_items"]
    counts = Counter(theme_of[word] for item in history for word in items[item]["categories"])
    top = [theme for theme, _ in counts.most_common(3)]
    output = TemplateTeacher(world.themes, world.items).explain(record)
    books, target = output.splitlines()[1:3]
    assert books.partition(": ")[2].split(", ") == [world.themes["books"][k] for k in top]
    themes, _, choice = target.partition(": ")[2].partition(" -> ")
    assert choice.startswith(f"(ID: {record['gt_item_id']}) ")
    assert themes.split(", ") == [world.themes[record["target"]][k] for k in top]
