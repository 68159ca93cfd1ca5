from mmbench.data.prompts import CAPTION_PROMPT, continuation, question_prompt


def test_prompts_end_without_a_space_and_continuations_begin_with_one() -> None:
    assert question_prompt(" is it\n red? ") == "is it red?"
    assert question_prompt("what is left of the desk") == "what is left of the desk?"
    assert CAPTION_PROMPT + continuation("  a  dog ") == "Caption: a dog"
