import subprocess
import sys

from peft import mapping

from corarec.adapter import CoraConfig, CoraModel
from corarec.adapter.register import register


def test_peft_knows_cora_by_its_name() -> None:
    register()
    assert mapping.PEFT_TYPE_TO_CONFIG_MAPPING["CORA"] is CoraConfig
    assert mapping.PEFT_TYPE_TO_TUNER_MAPPING["CORA"] is CoraModel
    assert mapping.PEFT_TYPE_TO_PREFIX_MAPPING["CORA"] == "cora_"


def test_importing_the_package_is_enough() -> None:
    code = "import corarec.adapter, peft; print('CORA' in peft.mapping.PEFT_TYPE_TO_TUNER_MAPPING)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True"
