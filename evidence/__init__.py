"""The evidence service: keeps consent evidence, shares it and bills for it over HTTP."""
