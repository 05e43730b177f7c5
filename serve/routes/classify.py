"""Our native route, in the shape of vLLM and SGLang: `POST /v1/classify`, also at `/classify`."""

import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter

from serve.routes.ask import Asking
from serve.schemas import Classification, ClassifyRequest, ClassifyResponse, Usage

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction, Predictor

router = APIRouter(tags=["classify"])


@router.post("/v1/classify")
@router.post("/classify", include_in_schema=False)
async def classify(body: ClassifyRequest, ask: Asking) -> ClassifyResponse:
    """Classify one tweet or several."""
    name, model = ask.model(body.model)
    predictions = await ask.classify(name, model, ask.texts(body.input))
    tokens = sum(prediction.tokens for prediction in predictions)
    return ClassifyResponse(
        id=f"classify-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=name,
        data=_data(model, predictions),
        usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
    )


def _data(model: "Predictor", predictions: "Sequence[Prediction]") -> list[Classification]:
    return [
        Classification(
            index=index,
            label=prediction.label,
            probs=list(prediction.probabilities),
            num_classes=len(prediction.probabilities),
            threshold=model.threshold,
            truncated=prediction.truncated,
            version=model.version,
        )
        for index, prediction in enumerate(predictions)
    ]
