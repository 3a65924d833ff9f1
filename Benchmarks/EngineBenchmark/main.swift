import LimitEngine
print(PolicySetBuilder.limitsMax)
